SELECT version FROM book
