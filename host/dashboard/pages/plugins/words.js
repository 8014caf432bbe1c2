// Words of the interface about plugins, for people.

export const SOURCES = { bundled: 'came with the server', folder: 'file in the folder', upload: 'uploaded' };

export const CAUSES = {
  bundled: 'it came with the server', folder: 'its file changed', upload: 'it was uploaded', activation: 'somebody activated it',
  roll_back: 'a roll-back', removal: 'another version was removed',
};

export const digits = (digest) => digest?.slice(0, 12);
