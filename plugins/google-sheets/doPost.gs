/**
 * Writes the rows that Hookwright's plugin `google-sheets` sends into this spreadsheet.
 *
 * 1. In the spreadsheet: Extensions, Apps Script; replace what stands there with this file.
 * 2. Deploy, New deployment, type "Web app"; execute as "Me", access for "Anyone".
 * 3. The URL that ends in /exec is the endpoint's.
 *
 * Columns are found by the names in the first row, so they can be moved, and others can stand between them; a name
 * that is missing is added at the end. The last column to be added is `webhook-id`: a message that was written before
 * is not written again. Whatever goes wrong here is shown to the sender as an error page, and is tried again.
 */
const ID = 'webhook-id';

function doPost(e) {
  const lock = LockService.getScriptLock();
  lock.waitLock(20000);
  try {
    const { id, sheet, columns, rows } = JSON.parse(e.postData.contents);
    const page = pageNamed(sheet);
    const header = headerWith(page, columns.concat(ID));
    if (!isWritten(page, header.indexOf(ID) + 1, id)) {
      append(page, rows.map((row) => header.map((name) => cell(name, row, columns, id))));
    }
    SpreadsheetApp.flush();
    return ContentService.createTextOutput('ok');
  } finally {
    lock.releaseLock();
  }
}

function pageNamed(name) {
  const book = SpreadsheetApp.getActiveSpreadsheet();
  if (!name) {
    return book.getSheets()[0];
  }
  return book.getSheetByName(name) || book.insertSheet(name);
}

/** The names in the first row, after those that were missing have been added. */
function headerWith(page, names) {
  const last = page.getLastColumn();
  const header = last === 0 ? [] : page.getRange(1, 1, 1, last).getValues()[0].map(String);
  const missing = names.filter((name) => !header.includes(name));
  if (missing.length > 0) {
    const lack = last + missing.length - page.getMaxColumns();
    if (lack > 0) {
      page.insertColumnsAfter(page.getMaxColumns(), lack);
    }
    page.getRange(1, last + 1, 1, missing.length).setValues([missing]);
  }
  return header.concat(missing);
}

function isWritten(page, column, id) {
  const rows = page.getLastRow() - 1;
  if (rows < 1) {
    return false;
  }
  const ids = page.getRange(2, column, rows, 1);
  return ids.createTextFinder(id).matchEntireCell(true).matchCase(true).findNext() !== null;
}

function cell(name, row, columns, id) {
  const value = name === ID ? id : row[columns.indexOf(name)];
  return value === undefined || value === null ? '' : value;
}

function append(page, values) {
  const first = page.getLastRow() + 1;
  const lack = first + values.length - 1 - page.getMaxRows();
  if (lack > 0) {
    page.insertRowsAfter(page.getMaxRows(), lack);
  }
  page.getRange(first, 1, values.length, values[0].length).setValues(values);
}
