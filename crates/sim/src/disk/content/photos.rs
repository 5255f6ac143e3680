//! Photos and videos: the files below `DCIM`, their thumbnails, and `Photos.sqlite` (docs/format.md 3.5).

use rusqlite::{Connection, params};

use super::database::{
    binary, cocoa_real, core_data, dictionary, entity, next, set_maximum, signed,
};
use super::words::{CITIES, title};
use crate::disk::apps::icon;
use crate::disk::entry::Content;
use crate::disk::maker::Maker;
use crate::disk::media::Shape;
use crate::disk::prng::Rng;
use crate::disk::{DiskError, Ios};

const DOMAIN: &str = "CameraRollDomain";
const DATABASE: &str = "Media/PhotoData/Photos.sqlite";

const ENTITIES: [(&str, i64); 9] = [
    ("AdditionalAssetAttributes", 0),
    ("DetectedFace", 0),
    ("Asset", 0),
    ("ExtendedAttributes", 0),
    ("GenericAlbum", 0),
    ("Album", 5),
    ("InternalResource", 0),
    ("Moment", 0),
    ("Person", 0),
];

/// Bytes a second of video takes; durations follow from lengths.
const BYTES_A_SECOND: u64 = 1_800_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Photo,
    Live,
    Screenshot,
    Video,
}

/// One thing the camera made.
struct Asset {
    number: u64,
    sort: Sort,
    heic: bool,
    length: u64,
    taken: i64,
    /// The bytes of a picture of the screen; all else is generated.
    picture: Option<Vec<u8>>,
}

impl Asset {
    fn directory(&self) -> String {
        format!("DCIM/{}APPLE", 100 + self.number / 1000)
    }

    fn file_name(&self) -> String {
        let extension = match (self.sort, self.heic) {
            (Sort::Video, _) => "MOV",
            (Sort::Screenshot, _) => "PNG",
            (_, true) => "HEIC",
            (_, false) => "JPG",
        };
        format!("IMG_{:04}.{extension}", self.number % 10_000)
    }

    fn type_identifier(&self) -> &'static str {
        match (self.sort, self.heic) {
            (Sort::Video, _) => "com.apple.quicktime-movie",
            (Sort::Screenshot, _) => "public.png",
            (_, true) => "public.heic",
            (_, false) => "public.jpeg",
        }
    }

    fn shape(&self) -> Shape {
        match (self.sort, self.heic) {
            (Sort::Video, _) => Shape::Movie,
            (_, true) => Shape::Heic,
            (_, false) => Shape::Jpeg,
        }
    }
}

pub(crate) fn create(maker: &mut Maker<'_>) -> Result<(), DiskError> {
    let mut rng = Rng::new(maker.seed, "photos");
    let (photos, videos) = (maker.amounts.photos, maker.amounts.videos);
    let assets = take(maker, &mut rng, 1, (photos, maker.amounts.photo_bytes), videos);
    let join = Join::of(maker.ios);
    let ios = maker.ios;
    maker.database(DOMAIN, DATABASE, |connection| {
        core_data(connection, &mut rng, &ENTITIES)?;
        connection.execute_batch(include_str!("sql/photos.sql"))?;
        connection.execute_batch(&join.table())?;
        let album = entity(connection, "Album")?;
        for (row, name) in (1_i64..).zip(["Holiday", "Garden"]) {
            connection.execute(
                "INSERT INTO ZGENERICALBUM (Z_PK, Z_ENT, Z_OPT, ZKIND, ZTRASHEDSTATE, ZTITLE, ZUUID)
                 VALUES (?1, ?2, 1, 2, 0, ?3, ?4)",
                params![row, album, name, rng.uuid()],
            )?;
        }
        write(connection, &assets, &mut rng, &join)
    })?;
    place(maker, &assets, &mut rng);
    let library = dictionary([
        ("PhotosLibraryVersion", i64::from(ios.major * 100 + ios.minor).into()),
        ("currentTokenUUID", rng.uuid().into()),
    ]);
    maker.file(
        DOMAIN,
        "Media/PhotoData/MISC/PreviewWellImage.plist",
        Content::bytes(binary(&library)),
    );
    for empty in ["Metadata/DCIM", "AlbumsMetadata", "Journals", "CPLAssets", "Mutations/DCIM"] {
        maker.directory(DOMAIN, &format!("Media/PhotoData/{empty}"));
    }
    Ok(())
}

/// Takes the photos of some days, makes a favourite, and deletes an old photo for good every day.
pub(crate) fn live(maker: &mut Maker<'_>, days: u64, rng: &mut Rng) -> Result<(), DiskError> {
    let daily = &maker.amounts.daily;
    let first = last_number(maker) + 1;
    let assets =
        take(maker, rng, first, (daily.photos * days, daily.photo_bytes), daily.videos * days);
    let join = Join::of(maker.ios);
    let now = cocoa_real(maker.end);
    let mut gone = Vec::new();
    maker.change(DOMAIN, DATABASE, |connection| {
        write(connection, &assets, rng, &join)?;
        connection.execute(
            "UPDATE ZASSET SET ZFAVORITE = 1, ZMODIFICATIONDATE = ?1, Z_OPT = Z_OPT + 1
             WHERE Z_PK = (SELECT max(Z_PK) FROM ZASSET WHERE ZFAVORITE = 0)",
            [now],
        )?;
        for _ in 0..days {
            gone.extend(delete_oldest(connection, &join)?);
        }
        Ok(())
    })?;
    place(maker, &assets, rng);
    for (directory, name) in gone {
        let stem = name.split('.').next().unwrap_or_default().to_owned();
        for path in maker.paths(DOMAIN, &format!("Media/{directory}/{stem}.")) {
            maker.remove(DOMAIN, &path);
        }
        let thumbnails = format!("Media/PhotoData/Thumbnails/V2/{directory}/{name}");
        maker.remove(DOMAIN, &format!("{thumbnails}/5005.JPG"));
        maker.remove(DOMAIN, &thumbnails);
    }
    Ok(())
}

/// Takes `photos` (how many, and how many bytes one has on average) and videos over the time that the maker fills.
fn take(
    maker: &Maker<'_>,
    rng: &mut Rng,
    first: u64,
    (photos, photo_bytes): (u64, u64),
    videos: u64,
) -> Vec<Asset> {
    let count = photos + videos;
    let span = maker.end - maker.start;
    (0..count)
        .map(|number| {
            let video = videos > 0 && (number + 1) * videos / count > number * videos / count;
            // Of each twenty, four are live and one is a picture of the screen.
            let sort = match number % 20 {
                _ if video => Sort::Video,
                3 => Sort::Screenshot,
                1 | 8 | 11 | 16 => Sort::Live,
                _ => Sort::Photo,
            };
            let usual = if video { maker.amounts.video_bytes } else { photo_bytes };
            let picture = (sort == Sort::Screenshot).then(|| icon(rng));
            let length = match &picture {
                Some(picture) => u64::try_from(picture.len()).unwrap_or(0),
                None => usual / 2 + rng.below(usual),
            };
            let step = span / signed(count);
            let taken = maker.start + step * signed(number) + rng.between(0, step.max(1));
            Asset { number: first + number, sort, heic: rng.chance(75), length, taken, picture }
        })
        .collect()
}

/// Returns the number of the newest photo, from its name: they are never used again.
fn last_number(maker: &Maker<'_>) -> u64 {
    let number = |path: &String| -> Option<u64> {
        let folder: u64 = path.get(11..14)?.parse().ok()?;
        let digits: String =
            path.rsplit_once("IMG_")?.1.chars().take_while(char::is_ascii_digit).collect();
        let number: u64 = digits.parse().ok()?;
        Some((folder - 100) / 10 * 10_000 + number)
    };
    maker.paths(DOMAIN, "Media/DCIM/").iter().filter_map(number).max().unwrap_or(0)
}

fn place(maker: &mut Maker<'_>, assets: &[Asset], rng: &mut Rng) {
    for asset in assets {
        let (directory, name) = (asset.directory(), asset.file_name());
        let path = format!("Media/{directory}/{name}");
        let content = match &asset.picture {
            Some(picture) => Content::bytes(picture.clone()),
            None => maker.fresh(asset.shape(), asset.length),
        };
        let entry = maker.file(DOMAIN, &path, content);
        entry.dated(asset.taken);
        // The photo library marks what it took in.
        entry.attribute("com.apple.assetsd.UUID", &rng.bytes(16));
        entry.attribute("com.apple.assetsd.addedDate", &asset.taken.to_be_bytes());
        if asset.sort == Sort::Live {
            let movie = path.rsplit_once('.').map_or("", |(stem, _)| stem).to_owned() + ".MOV";
            maker.generated(DOMAIN, &movie, Shape::Movie, asset.length).dated(asset.taken);
        }
        let thumbnail = format!("Media/PhotoData/Thumbnails/V2/{directory}/{name}/5005.JPG");
        let length = (asset.length / 60).clamp(900, 30_000);
        maker.generated(DOMAIN, &thumbnail, Shape::Jpeg, length).dated(asset.taken + 2);
    }
}

/// The table that joins albums and assets; its name and columns change with iOS.
struct Join {
    table: u16,
    albums: u16,
}

impl Join {
    fn of(ios: Ios) -> Self {
        let table = match (ios.major, ios.minor) {
            (..=14, _) => 26,
            (15, _) => 27,
            (16, _) | (17, 0..=5) => 28,
            (17, _) => 29,
            (18..=25, _) => 30,
            _ => 33,
        };
        Self { table, albums: table }
    }

    fn table(&self) -> String {
        let Self { table, albums } = self;
        format!(
            "CREATE TABLE Z_{table}ASSETS (Z_{albums}ALBUMS INTEGER, Z_3ASSETS INTEGER, Z_FOK_3ASSETS INTEGER,
                PRIMARY KEY (Z_{albums}ALBUMS, Z_3ASSETS));
             CREATE INDEX Z_{table}ASSETS_Z_3ASSETS_INDEX ON Z_{table}ASSETS (Z_3ASSETS, Z_{albums}ALBUMS);"
        )
    }
}

const INSERT_ASSET: &str = "INSERT INTO ZASSET (Z_PK, Z_ENT, Z_OPT, ZCLOUDISMYASSET, ZCOMPLETE, ZFAVORITE, ZHASADJUSTMENTS, ZHEIGHT,
            ZHIDDEN, ZISDETECTEDSCREENSHOT, ZKIND, ZKINDSUBTYPE, ZORIENTATION, ZPLAYBACKSTYLE, ZSAVEDASSETTYPE,
            ZTRASHEDSTATE, ZWIDTH, ZADDITIONALATTRIBUTES, ZEXTENDEDATTRIBUTES, ZADDEDDATE, ZDATECREATED, ZDURATION,
            ZLATITUDE, ZLONGITUDE, ZMODIFICATIONDATE, ZSORTTOKEN, ZDIRECTORY, ZFILENAME, ZUNIFORMTYPEIDENTIFIER, ZUUID)
         VALUES (?1, ?2, 1, 0, 1, ?3, 0, 3024, 0, ?4, ?5, ?6, 1, ?7, 3, 0, 4032, ?1, ?1, ?8, ?8, ?9, ?10, ?11, ?8, ?8,
                 ?12, ?13, ?14, ?15)";

const INSERT_MORE: &str = "INSERT INTO ZADDITIONALASSETATTRIBUTES (Z_PK, Z_ENT, Z_OPT, ZORIGINALFILESIZE, ZORIGINALHEIGHT,
            ZORIGINALWIDTH, ZORIGINALORIENTATION, ZTIMEZONEOFFSET, ZASSET, ZEXIFTIMESTAMPSTRING, ZORIGINALFILENAME,
            ZTIMEZONENAME, ZTITLE, ZCREATORBUNDLEID)
         VALUES (?1, ?2, 1, ?3, 3024, 4032, 1, 3600, ?1, ?4, ?5, 'GMT+0100', ?6, 'com.apple.camera')";

fn write(
    connection: &Connection,
    assets: &[Asset],
    rng: &mut Rng,
    join: &Join,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare(INSERT_ASSET)?;
    let mut more = connection.prepare(INSERT_MORE)?;
    let mut camera = connection.prepare(
        "INSERT INTO ZEXTENDEDATTRIBUTES (Z_PK, Z_ENT, Z_OPT, ZISO, ZASSET, ZAPERTURE, ZFOCALLENGTH, ZSHUTTERSPEED,
            ZCAMERAMAKE, ZCAMERAMODEL) VALUES (?1, ?2, 1, ?3, ?1, 1.8, 4.25, 0.01, 'Apple', 'iPhone')",
    )?;
    let mut resource = connection.prepare(
        "INSERT INTO ZINTERNALRESOURCE (Z_PK, Z_ENT, Z_OPT, ZLOCALAVAILABILITY, ZREMOTEAVAILABILITY, ZRESOURCETYPE,
            ZVERSION, ZASSET, ZDATALENGTH) VALUES (?1, ?2, 1, 1, 0, ?3, 0, ?1, ?4)",
    )?;
    let Join { table, .. } = join;
    let mut in_album =
        connection.prepare(&format!("INSERT INTO Z_{table}ASSETS VALUES (?1, ?2, ?2)"))?;
    let entities = ["Asset", "AdditionalAssetAttributes", "ExtendedAttributes", "InternalResource"];
    let [asset_entity, more_entity, camera_entity, resource_entity] =
        entities.map(|name| entity(connection, name));
    let (asset_entity, more_entity) = (asset_entity?, more_entity?);
    let (camera_entity, resource_entity) = (camera_entity?, resource_entity?);
    let first = next(connection, "ZASSET", "Z_PK")?;
    for (row, asset) in (first..).zip(assets) {
        let video = asset.sort == Sort::Video;
        let (latitude, longitude) = coordinates(rng);
        let taken = cocoa_real(asset.taken);
        insert.execute(params![
            row,
            asset_entity,
            rng.chance(5),
            asset.sort == Sort::Screenshot,
            video,
            if asset.sort == Sort::Live { 2 } else { 0 },
            match asset.sort {
                Sort::Video => 4,
                Sort::Live => 3,
                _ => 1,
            },
            taken,
            if video {
                cocoa_real(978_307_200 + signed(asset.length / BYTES_A_SECOND) + 1)
            } else {
                0.0
            },
            latitude,
            longitude,
            asset.directory(),
            asset.file_name(),
            asset.type_identifier(),
            rng.uuid(),
        ])?;
        let name = rng.chance(3).then(|| title(rng));
        more.execute(params![
            row,
            more_entity,
            signed(asset.length),
            exif(asset.taken),
            asset.file_name(),
            name
        ])?;
        camera.execute(params![row, camera_entity, rng.between(25, 1600)])?;
        resource.execute(params![row, resource_entity, video, signed(asset.length)])?;
        if rng.chance(20) {
            in_album.execute([rng.between(1, 3), row])?;
        }
    }
    let tables =
        ["ZASSET", "ZADDITIONALASSETATTRIBUTES", "ZEXTENDEDATTRIBUTES", "ZINTERNALRESOURCE"];
    for (entity, table) in entities.into_iter().zip(tables) {
        set_maximum(connection, entity, table)?;
    }
    Ok(())
}

/// Returns where a photo was taken; -180 stands for nowhere.
fn coordinates(rng: &mut Rng) -> (f64, f64) {
    if rng.chance(25) {
        return (-180.0, -180.0);
    }
    let (_, _, latitude, longitude) = CITIES[rng.index(CITIES.len())];
    let mut near = |place: i32| {
        f64::from(place) / 1000.0 + f64::from(u8::try_from(rng.below(200)).unwrap_or(0)) / 10_000.0
    };
    (near(latitude), near(longitude))
}

fn exif(unix: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(unix).ok()?;
    Some(time.strftime("%Y:%m:%d %H:%M:%S").to_string())
}

/// Deletes the rows of the oldest photo and returns its directory and name.
fn delete_oldest(
    connection: &Connection,
    join: &Join,
) -> rusqlite::Result<Option<(String, String)>> {
    let mut find = connection.prepare(
        "SELECT Z_PK, ZDIRECTORY, ZFILENAME FROM ZASSET WHERE ZKIND = 0 ORDER BY Z_PK LIMIT 1",
    )?;
    let found =
        find.query_map([], |row| Ok((row.get::<_, i64>(0)?, (row.get(1)?, row.get(2)?))))?.next();
    let Some((row, name)) = found.transpose()? else { return Ok(None) };
    let Join { table, .. } = join;
    for (table, column) in [
        ("ZASSET".to_owned(), "Z_PK"),
        ("ZADDITIONALASSETATTRIBUTES".to_owned(), "ZASSET"),
        ("ZEXTENDEDATTRIBUTES".to_owned(), "ZASSET"),
        ("ZINTERNALRESOURCE".to_owned(), "ZASSET"),
        (format!("Z_{table}ASSETS"), "Z_3ASSETS"),
    ] {
        connection.execute(&format!("DELETE FROM {table} WHERE {column} = ?1"), [row])?;
    }
    Ok(Some(name))
}
