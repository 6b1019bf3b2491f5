-- An outbox as the last version of outlast with layout 1 has made it by its own calls, dumped: delivered, dead,
-- conflicting, cut off on the wire, ready, under a name, and behind a place that is gone.
PRAGMA application_id = 1330401090;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE lease (
    role TEXT PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL, boot TEXT NOT NULL, beat REAL NOT NULL,
    ttl REAL NOT NULL, locked INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "lease" VALUES('deliver','',1,'00000000-0000-4000-8000-000000000000',36013.414338604,30.0,1);
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "meta" VALUES('decisions','0');
INSERT INTO "meta" VALUES('epoch','1');
INSERT INTO "meta" VALUES('store','2e77e6c33bca39c5');
CREATE TABLE once (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "once" VALUES('only',5);
CREATE TABLE op (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, verb TEXT NOT NULL, kind TEXT NOT NULL,
    entity TEXT NOT NULL, generation INTEGER NOT NULL, target TEXT, content_type TEXT NOT NULL,
    if_match TEXT, created REAL NOT NULL, body BLOB
);
INSERT INTO "op" VALUES(4,2945470622964995168,'put','note','wire',0,NULL,'application/json','"1"',1.79539670914319229129e+09,X'7B226E223A327D');
INSERT INTO "op" VALUES(5,5540161867425451260,'put','note','ready',0,NULL,'application/json',NULL,1.79539671417252612111e+09,X'7B226E223A337D');
CREATE TABLE parked (
    seq INTEGER PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, parked REAL NOT NULL, attempts INTEGER NOT NULL,
    lane INTEGER NOT NULL, verb TEXT NOT NULL, kind TEXT NOT NULL, entity TEXT NOT NULL, generation INTEGER NOT NULL,
    target TEXT, content_type TEXT NOT NULL, if_match TEXT, created REAL NOT NULL, body BLOB
);
INSERT INTO "parked" VALUES(2,'dead','422 no such field',1795396709.14815,1,2671803783728007401,'put','note','dead',0,NULL,'application/json','"1"',1.7953967091419794559e+09,X'7B226E223A327D');
INSERT INTO "parked" VALUES(3,'conflict','412; and it cannot be read back: there is no read_back function',1.79539670914819097513e+09,1,7549148105393311894,'put','note','conflict',0,NULL,'application/json','"1"',1.79539670914254975318e+09,X'7B226E223A327D');
CREATE TABLE receipt (
    seq INTEGER PRIMARY KEY, generation INTEGER NOT NULL, attempts INTEGER NOT NULL, etag TEXT,
    kind TEXT NOT NULL, entity TEXT NOT NULL, done REAL NOT NULL
);
INSERT INTO "receipt" VALUES(1,0,1,'"1"','note','fine',1.79539670914810085291e+09);
CREATE TABLE seal (
    seq INTEGER PRIMARY KEY, attempts INTEGER NOT NULL, fence INTEGER NOT NULL, due REAL, delay REAL NOT NULL,
    first_sent REAL NOT NULL, reason TEXT NOT NULL, method TEXT NOT NULL, url TEXT NOT NULL, headers TEXT NOT NULL,
    body_hash BLOB NOT NULL, body BLOB
);
INSERT INTO "seal" VALUES(4,1,1,NULL,0.0,1.79539670914700508121e+09,'','put','2e77e6c33bca39c5.1:4:0','[]',X'363379742F80B51BDB9206579AF7754911543079B9399CB3FC315FB199F476E8',NULL);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('op',6);
COMMIT;
