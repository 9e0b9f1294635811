CREATE TABLE countries (code TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE rates (
  currency TEXT PRIMARY KEY,
  per_euro REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE products (
  id    INTEGER PRIMARY KEY,
  name  TEXT NOT NULL,
  about TEXT NOT NULL,
  cents INTEGER NOT NULL CHECK (cents > 0)
);

CREATE TABLE users (
  id       INTEGER PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  staff    INTEGER NOT NULL DEFAULT 0,
  salt     BLOB NOT NULL,
  password BLOB NOT NULL
);

CREATE TABLE sessions (
  digest  BLOB PRIMARY KEY,
  user    INTEGER NOT NULL REFERENCES users (id),
  expires INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE carts (
  user     INTEGER NOT NULL REFERENCES users (id),
  product  INTEGER NOT NULL REFERENCES products (id),
  quantity INTEGER NOT NULL,
  PRIMARY KEY (user, product)
) WITHOUT ROWID;

-- How often each handler has run: what a cache saves shows here.
CREATE TABLE runs (
  handler TEXT PRIMARY KEY,
  n       INTEGER NOT NULL,
  at      TEXT NOT NULL
) WITHOUT ROWID;
