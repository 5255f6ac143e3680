CREATE TABLE ABPerson (
    ROWID INTEGER PRIMARY KEY AUTOINCREMENT, First TEXT, Last TEXT, Middle TEXT, FirstPhonetic TEXT, MiddlePhonetic TEXT,
    LastPhonetic TEXT, Organization TEXT, Department TEXT, Note TEXT, Kind INTEGER, Birthday TEXT, JobTitle TEXT,
    Nickname TEXT, Prefix TEXT, Suffix TEXT, FirstSort TEXT, LastSort TEXT, CreationDate INTEGER,
    ModificationDate INTEGER, CompositeNameFallback TEXT, ExternalIdentifier TEXT, ExternalModificationTag TEXT,
    ExternalUUID TEXT, StoreID INTEGER, DisplayName TEXT, ExternalRepresentation BLOB, FirstSortSection TEXT,
    LastSortSection TEXT, FirstSortLanguageIndex INTEGER DEFAULT 2147483647,
    LastSortLanguageIndex INTEGER DEFAULT 2147483647, PersonLink INTEGER DEFAULT -1, ImageURI TEXT,
    IsPreferredName INTEGER DEFAULT 1, guid TEXT, PhonemeData TEXT, AlternateBirthday TEXT, MapsData TEXT,
    FirstPronunciation TEXT, MiddlePronunciation TEXT, LastPronunciation TEXT, OrganizationPhonetic TEXT,
    OrganizationPronunciation TEXT, PreviousFamilyName TEXT, PreferredLikenessSource TEXT,
    PreferredPersonaIdentifier TEXT, PreferredChannel TEXT, DowntimeWhitelist TEXT, ImageType TEXT, ImageHash BLOB,
    MemojiMetadata BLOB, UNIQUE(guid));
CREATE TABLE ABMultiValue (
    UID INTEGER PRIMARY KEY, record_id INTEGER, property INTEGER, identifier INTEGER, label INTEGER, value TEXT,
    guid TEXT, UNIQUE(guid));
CREATE TABLE ABMultiValueEntry (parent_id INTEGER, key INTEGER, value TEXT, UNIQUE(parent_id, key));
CREATE TABLE ABMultiValueEntryKey (value TEXT, UNIQUE(value));
CREATE TABLE ABMultiValueLabel (value TEXT, UNIQUE(value));
CREATE TABLE ABPersonLink (ROWID INTEGER PRIMARY KEY, PreferredImagePersonID INTEGER, PreferredNamePersonID INTEGER, guid TEXT, UNIQUE(guid));
CREATE TABLE ABStore (
    ROWID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT, ExternalIdentifier TEXT, Type INTEGER, ConstraintsPath TEXT,
    ExternalModificationTag TEXT, ExternalSyncTag TEXT, StoreInternalIdentifier TEXT, AccountID INTEGER,
    Enabled INTEGER DEFAULT 1, SyncData BLOB, MeIdentifier INTEGER DEFAULT -1, Capabilities INTEGER DEFAULT 0, guid TEXT,
    LastSyncDate TEXT, UNIQUE(guid));
CREATE TABLE ABAccount (ROWID INTEGER PRIMARY KEY, AccountIdentifier TEXT, DefaultSourceID INTEGER DEFAULT -1, UNIQUE(AccountIdentifier));
CREATE TABLE ABGroup (
    ROWID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT, ExternalIdentifier TEXT, StoreID INTEGER,
    ExternalModificationTag TEXT, ExternalRepresentation BLOB, ExternalUUID TEXT, guid TEXT, UNIQUE(guid));
CREATE TABLE ABGroupMembers (UID INTEGER PRIMARY KEY, group_id INTEGER, member_type INTEGER, member_id INTEGER, UNIQUE(group_id, member_type, member_id));
CREATE TABLE ABGroupChanges (record INTEGER, type INTEGER, Name TEXT, ExternalIdentifier TEXT, StoreID INTEGER, sequence_number INTEGER);
CREATE TABLE ABPersonChanges (record INTEGER, type INTEGER, Image INTEGER, ExternalIdentifier TEXT, StoreID INTEGER, sequence_number INTEGER);
CREATE TABLE ABPersonBasicChanges (record INTEGER, type INTEGER, sequence_number INTEGER);
CREATE TABLE ABRecent (date INTEGER, name TEXT, property INTEGER, value TEXT);
CREATE TABLE ABPhoneLastFour (multivalue_id INTEGER, value TEXT);
CREATE TABLE ABPersonSearchKey (person_id INTEGER PRIMARY KEY, SearchKey BLOB);
CREATE TABLE _SqliteDatabaseProperties (key TEXT, value TEXT, UNIQUE(key));
CREATE INDEX ABFirstSortIndex ON ABPerson (FirstSort, FirstSortLanguageIndex, FirstSortSection);
CREATE INDEX ABLastSortIndex ON ABPerson (LastSort, LastSortLanguageIndex, LastSortSection);
CREATE INDEX ABPersonStoreIDIndex ON ABPerson (StoreID);
CREATE INDEX ABPersonPersonLinkIndex ON ABPerson (PersonLink);
CREATE INDEX ABMultiValueRecordIDIndex ON ABMultiValue (record_id);
CREATE INDEX ABMultiValuePropertyIndex ON ABMultiValue (property);
CREATE INDEX ABMultiValueEntryKeyIndex ON ABMultiValueEntry (key);
CREATE INDEX ABPhoneLastFourIndex ON ABPhoneLastFour (value);
CREATE INDEX ABPersonChangesSequence ON ABPersonChanges (sequence_number);
