//! Who a phone is: the numbers that never change, all made from its seed.

use sha2::{Digest as _, Sha256};

use crate::options::{Ios, OptionsError, PhoneSpec};

/// The model that plays an iOS version, one that really runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// `iPhone14,5`
    pub product_type: &'static str,
    /// `D17AP`
    pub hardware_model: &'static str,
    /// `t8110`
    pub hardware_platform: &'static str,
    /// `MLPK3`
    pub model_number: &'static str,
    /// The chip, which is also the first half of a newer UDID.
    pub chip_id: u64,
    /// The board.
    pub board_id: u64,
    /// `arm64` or `arm64e`
    pub cpu: &'static str,
    /// Before the A12 a UDID is 40 hex digits.
    pub long_udid: bool,
}

/// Returns the model that plays an iOS version.
pub const fn model(ios: Ios) -> Model {
    match ios {
        Ios::V15_7 => Model {
            product_type: "iPhone9,1",
            hardware_model: "D10AP",
            hardware_platform: "t8010",
            model_number: "MN8X2",
            chip_id: 0x8010,
            board_id: 0x08,
            cpu: "arm64",
            long_udid: true,
        },
        Ios::V16_1 => Model {
            product_type: "iPhone10,4",
            hardware_model: "D201AP",
            hardware_platform: "t8015",
            model_number: "MQ6K2",
            chip_id: 0x8015,
            board_id: 0x0a,
            cpu: "arm64",
            long_udid: true,
        },
        Ios::V17 => Model {
            product_type: "iPhone13,2",
            hardware_model: "D53gAP",
            hardware_platform: "t8101",
            model_number: "MGJ83",
            chip_id: 0x8101,
            board_id: 0x0c,
            cpu: "arm64e",
            long_udid: false,
        },
        Ios::V18 => Model {
            product_type: "iPhone14,5",
            hardware_model: "D17AP",
            hardware_platform: "t8110",
            model_number: "MLPK3",
            chip_id: 0x8110,
            board_id: 0x18,
            cpu: "arm64e",
            long_udid: false,
        },
        Ios::V26_4 => Model {
            product_type: "iPhone18,3",
            hardware_model: "V57AP",
            hardware_platform: "t8150",
            model_number: "MG6K4",
            chip_id: 0x8150,
            board_id: 0x0c,
            cpu: "arm64e",
            long_udid: false,
        },
    }
}

/// The numbers of one phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The identifier lockdownd tells; the name of the backup's folder.
    pub udid: String,
    /// What it runs.
    pub ios: Ios,
    /// What it is.
    pub model: Model,
    /// The serial number on its back.
    pub serial: String,
    /// The number of its chip.
    pub ecid: u64,
    /// The first and the second IMEI.
    pub imei: [String; 2],
    /// The MEID.
    pub meid: String,
    /// The number of the SIM card.
    pub iccid: String,
    /// The number of the subscriber.
    pub imsi: String,
    /// Its telephone number, from a range kept for stories.
    pub phone_number: String,
    /// The address of its Wi-Fi radio.
    pub wifi_address: String,
    /// The address of its Bluetooth radio.
    pub bluetooth_address: String,
    /// The address of its USB network interface.
    pub ethernet_address: String,
}

impl Identity {
    /// Makes the numbers of a phone from its description.
    pub fn new(spec: &PhoneSpec) -> Result<Self, OptionsError> {
        let model = model(spec.ios);
        let mut dice = Dice { seed: spec.seed, name: spec.name.clone() };
        let ecid = dice.number("ecid") & 0x000f_ffff_ffff_ffff | 0x0008_0000_0000_0000;
        let udid = match &spec.udid {
            Some(udid) if plausible(udid) => udid.clone(),
            Some(udid) => return Err(OptionsError::Udid { udid: udid.clone() }),
            None if model.long_udid => hex::encode(&dice.bytes("udid")[..20]),
            None => format!("{:08X}-{ecid:016X}", model.chip_id),
        };
        let mac = dice.bytes("radio");
        Ok(Self {
            udid,
            ios: spec.ios,
            model,
            serial: dice.letters("serial", "0123456789CDFGHJKLMNPQRTVWXY", 10),
            ecid,
            imei: [dice.imei("imei"), dice.imei("imei2")],
            meid: format!("35{}", dice.letters("meid", "0123456789", 12)),
            iccid: format!("8944{}", dice.letters("iccid", "0123456789", 15)),
            imsi: format!("23410{}", dice.letters("imsi", "0123456789", 10)),
            phone_number: format!("+44 7700 900{:03}", dice.number("number") % 1000),
            wifi_address: address([mac[0], mac[1], mac[2], 0x10]),
            bluetooth_address: address([mac[0], mac[1], mac[2], 0x11]),
            ethernet_address: address([mac[0], mac[1], mac[2], 0x12]),
        })
    }
}

/// Whether a text can be an identifier, and so the name of a folder.
fn plausible(udid: &str) -> bool {
    let digits = udid.chars().filter(char::is_ascii_hexdigit).count();
    let long = udid.len() == 40 && digits == 40;
    let short = udid.len() == 25 && digits == 24 && udid.as_bytes().get(8) == Some(&b'-');
    long || short
}

fn address(tail: [u8; 4]) -> String {
    format!("f0:d1:{:02x}:{:02x}:{:02x}:{:02x}", tail[0], tail[1], tail[2], tail[3])
}

/// Random numbers that depend on the seed and on what they are for, not on their order.
struct Dice {
    seed: u64,
    name: String,
}

impl Dice {
    fn bytes(&mut self, what: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(self.name.as_bytes());
        hash.update([0]);
        hash.update(what.as_bytes());
        hash.finalize().into()
    }

    fn number(&mut self, what: &str) -> u64 {
        self.bytes(what).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn letters(&mut self, what: &str, alphabet: &str, count: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        let bytes = self.bytes(what);
        bytes
            .iter()
            .take(count)
            .filter_map(|b| letters.get(usize::from(*b) % letters.len()))
            .collect()
    }

    /// Fourteen digits and the check digit.
    fn imei(&mut self, what: &str) -> String {
        let body = format!("35{}", self.letters(what, "0123456789", 12));
        let sum: u32 = body
            .chars()
            .filter_map(|c| c.to_digit(10))
            .enumerate()
            .map(|(i, digit)| if i % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
            .sum();
        format!("{body}{}", (10 - sum % 10) % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_the_seed() {
        for ios in Ios::ALL {
            let spec = PhoneSpec { ios, ..PhoneSpec::default() };
            let one = Identity::new(&spec).unwrap();
            assert_eq!(one, Identity::new(&spec).unwrap());
            let other = Identity::new(&PhoneSpec { seed: 2, ..spec.clone() }).unwrap();
            assert_ne!(one.udid, other.udid);
            assert!(plausible(&one.udid), "{}", one.udid);
            assert_eq!(one.udid.len(), if one.model.long_udid { 40 } else { 25 });
            assert_eq!(one.imei[0].len(), 15);
        }
    }

    #[test]
    fn an_identifier_that_is_a_path_is_refused() {
        for udid in ["", "..", "../../../etc", "00008110/001A2B3C4D5E6F70"] {
            let spec = PhoneSpec { udid: Some(udid.to_owned()), ..PhoneSpec::default() };
            assert!(Identity::new(&spec).is_err());
        }
    }
}
