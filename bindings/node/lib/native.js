'use strict';

// Loads the addon.

const { join } = require('node:path');

const directory = join(__dirname, '..');

function load() {
  try {
    return require('../slabuf.node');
  } catch (error) {
    const missing = error.code === 'MODULE_NOT_FOUND';
    const help = `Build it with \`node build.mjs\` in ${directory} (this needs Rust: cargo).`;
    throw Object.assign(
      new Error(`${missing ? 'the addon slabuf.node has not been built' : error.message}. ${help}`, { cause: error }),
      { code: 'ERR_SLABUF_ADDON' },
    );
  }
}

module.exports = load();
