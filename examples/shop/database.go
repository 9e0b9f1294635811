package main

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite"
)

var (
	//go:embed schema.sql
	schema string
	//go:embed seed.sql
	seed string
)

// version is the user_version that this program gives a database.
const version = 1

// openDatabase opens the shop's database. It fills a new file with tables and products, in one transaction.
func openDatabase(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", address(path))
	if err != nil {
		return nil, err
	}
	if err := fill(context.Background(), db); err != nil {
		db.Close()
		return nil, fmt.Errorf("cannot use %q as the shop's database: %w", path, err)
	}
	return db, nil
}

func address(path string) string {
	escaped := (&url.URL{Path: path}).EscapedPath()
	options := url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}
	return "file:" + escaped + "?" + options.Encode()
}

func fill(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var found int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&found); err != nil || found == version {
		return err
	}
	if found != 0 {
		return fmt.Errorf("it is of version %d, this program writes version %d; name another file with -db", found, version)
	}
	if _, err := tx.ExecContext(ctx, schema+seed); err != nil {
		return fmt.Errorf("%w; if the file is another program's, name another one with -db", err)
	}
	if err := addUsers(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
	return tx.Commit()
}
