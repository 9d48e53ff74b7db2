package gormdb_test

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/storage/gormdb"
)

//go:embed migrations
var migrations embed.FS

func TestBothDatabasesHaveTheSameVersions(t *testing.T) {
	names := func(dialect string) (list []string) {
		files, err := fs.ReadDir(migrations, "migrations/"+dialect)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			list = append(list, f.Name())
		}
		return list
	}
	if a, b := names("sqlite"), names("postgres"); !slices.Equal(a, b) {
		t.Fatalf("SQLite has %v, PostgreSQL %v", a, b)
	}
}

func TestBothDatabasesHaveTheSameTablesAndIndexes(t *testing.T) {
	read := func(at, query string) (list []string) {
		open(t, at, gormdb.Options{})
		rows, err := raw(t, at).Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			list = append(list, s)
		}
		slices.Sort(list)
		return list
	}
	lite := read(sqliteFile(t), `SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'goose%'
		UNION ALL SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`)
	pg := read(postgresSchema(t), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name NOT LIKE 'goose%'
		UNION ALL SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
			AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key' AND tablename NOT LIKE 'goose%'`)
	if len(lite) < 100 || !slices.Equal(lite, pg) {
		t.Fatalf("SQLite has\n%v\nPostgreSQL\n%v", lite, pg)
	}
}

func TestReplicasMayMigrateTogether(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		for range 3 {
			migrateTogether(t, new(t))
		}
	})
}

func migrateTogether(t *testing.T, at string) {
	t.Helper()
	var replicas []*gormdb.DB
	for range 6 {
		d, err := gormdb.Open(t.Context(), gormdb.Options{URL: at, Pool: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		replicas = append(replicas, d)
	}
	errs := make(chan error)
	for _, d := range replicas {
		go func() {
			err := d.Migrate(t.Context())
			if err == nil {
				err = d.Ready(t.Context())
			}
			errs <- err
		}()
	}
	for range replicas {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestAStartRefusesASchemaThatDoesNotFitAndSaysWhatToDo(t *testing.T) {
	everywhere(t, func(t *testing.T, new place) {
		at := new(t)
		d, err := gormdb.Open(t.Context(), gormdb.Options{URL: at})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		refused := func(words string) {
			t.Helper()
			if err := d.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), words) {
				t.Fatalf("ready: %v, want %q", err, words)
			}
		}
		refused("run `gatehouse migrate`")
		if err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := d.MigrationStatus(t.Context())
		if err != nil || s.Database != s.Binary || s.Oldest < 1 || s.Oldest > s.Binary {
			t.Fatalf("status %+v, %v", s, err)
		}
		pool := raw(t, at)
		change := func(query string) {
			t.Helper()
			if _, err := pool.Exec(query); err != nil {
				t.Fatal(err)
			}
		}
		// A newer schema that only added is fine; one that took away is not.
		change(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`)
		if err := d.Ready(t.Context()); err != nil {
			t.Fatalf("a newer schema that suits us: %v", err)
		}
		if err := d.Migrate(t.Context()); err != nil {
			t.Fatalf("migrating a newer schema: %v", err)
		}
		if _, err := pool.Exec(`INSERT INTO deployment (id, value) VALUES ('ninety-nine', $1)`, []byte("99")); err != nil {
			t.Fatal(err)
		}
		change(`UPDATE deployment SET value = (SELECT value FROM deployment WHERE id = 'ninety-nine') WHERE id = 'floor'`)
		refused("install a newer gatehouse")
		change(`DELETE FROM goose_db_version WHERE version_id > 0`)
		refused("run `gatehouse migrate`")
	})
}

func TestH5_ClockSkewIsTheDatabasesLead(t *testing.T) {
	ahead := open(t, postgresSchema(t), gormdb.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	if skew, err := ahead.ClockSkew(t.Context()); err != nil || skew > -59*time.Minute || skew < -61*time.Minute {
		t.Fatalf("our clock is an hour ahead: skew %v, %v", skew, err)
	}
	behind := open(t, postgresSchema(t), gormdb.Options{Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	if skew, err := behind.ClockSkew(t.Context()); err != nil || skew < 59*time.Minute || skew > 61*time.Minute {
		t.Fatalf("our clock is an hour behind: skew %v, %v", skew, err)
	}
	for _, at := range []string{postgresSchema(t), sqliteFile(t)} {
		if skew, err := open(t, at, gormdb.Options{}).ClockSkew(t.Context()); err != nil || skew.Abs() > time.Second {
			t.Fatalf("one clock: skew %v, %v", skew, err)
		}
	}
}
