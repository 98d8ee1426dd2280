import GRDB

/// The tables, and how each version of them is made from the one before (docs/file-formats.md).
enum Schema {
  /// `ExpM` in the file's header: this database is a journal of expomerge.
  static let applicationID = 0x4578_706D

  /// A migration that was released is never changed: add another.
  static let migrator: DatabaseMigrator = {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: epochs, jobs, shards, synced files, events") { db in
      try db.execute(
        sql: """
          CREATE TABLE epoch (
            number INTEGER PRIMARY KEY,
            started_at INTEGER NOT NULL,
            holder TEXT NOT NULL,
            version TEXT NOT NULL
          );
          CREATE TABLE job (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            state TEXT NOT NULL,
            priority INTEGER NOT NULL,
            submitted_at INTEGER NOT NULL,
            ended_at INTEGER,
            recipe TEXT NOT NULL,
            aligned TEXT NOT NULL,
            sft TEXT NOT NULL,
            output TEXT NOT NULL,
            options TEXT NOT NULL,
            plan BLOB NOT NULL,
            aligned_files TEXT NOT NULL,
            sft_files TEXT NOT NULL,
            nonce TEXT NOT NULL,
            problem TEXT
          );
          CREATE TABLE shard (
            job INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
            shard INTEGER NOT NULL,
            digest BLOB NOT NULL,
            worker TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            milliseconds INTEGER NOT NULL,
            finished_at INTEGER NOT NULL,
            segments BLOB NOT NULL,
            PRIMARY KEY (job, shard)
          ) WITHOUT ROWID;
          CREATE TABLE synced (
            job INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
            file INTEGER NOT NULL,
            PRIMARY KEY (job, file)
          ) WITHOUT ROWID;
          CREATE TABLE event (
            number INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            job INTEGER REFERENCES job ON DELETE CASCADE,
            kind TEXT NOT NULL,
            text TEXT NOT NULL
          );
          CREATE INDEX event_of_job ON event (job);
          """)
    }
    migrator.registerMigration("2: exit codes of jobs that failed") { db in
      try db.execute(sql: "ALTER TABLE job ADD COLUMN exit_code INTEGER")
    }
    migrator.registerMigration("3: shards of several variants") { db in
      try db.execute(sql: "ALTER TABLE shard ADD COLUMN variants TEXT")
    }
    return migrator
  }()
}
