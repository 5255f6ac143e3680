//! `diagnostics_relay`: battery, registry, what the system says of itself (docs/protocol.md,
//! diagnostics relay).

use plist::{Dictionary, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{keys, text};
use crate::channel::{ChannelError, PlistChannel};
use crate::fault::twisted;
use crate::options::Ios;
use crate::phone::Phone;
use crate::state::Battery;

/// Answers until the host says Goodbye or closes.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    phone: &Phone,
    channel: &mut PlistChannel<S>,
) -> Result<(), ChannelError> {
    while let Some(request) = channel.receive().await? {
        let name = text(&request, "Request").unwrap_or_default();
        channel.send(answer(phone, name, &request)).await?;
        match name {
            "Goodbye" => break,
            "Restart" => phone.ask_restart(),
            _ => {}
        }
    }
    Ok(())
}

fn answer(phone: &Phone, name: &str, request: &Dictionary) -> Dictionary {
    match name {
        "Goodbye" | "Sleep" | "Restart" => keys([("Status", "Success".into())]),
        "All" => diagnostics([("GasGauge", gas_gauge()), ("WiFi", wifi())]),
        "GasGauge" => diagnostics([("GasGauge", gas_gauge())]),
        "WiFi" => diagnostics([("WiFi", wifi())]),
        "NAND" => diagnostics([("NAND", Value::Dictionary(keys([("Status", "Success".into())])))]),
        "IORegistry" => registry(phone, request),
        "MobileGestalt" => mobile_gestalt(phone, request),
        _ => keys([("Status", "UnknownRequest".into())]),
    }
}

fn diagnostics<const N: usize>(parts: [(&str, Value); N]) -> Dictionary {
    keys([("Status", "Success".into()), ("Diagnostics", Value::Dictionary(keys(parts)))])
}

/// From iOS 12.2 the full charge is told as 100 whatever it is.
fn gas_gauge() -> Value {
    Value::Dictionary(keys([
        ("CycleCount", Value::from(212)),
        ("DesignCapacity", Value::from(100)),
        ("FullChargeCapacity", Value::from(100)),
        ("Status", "Success".into()),
    ]))
}

fn wifi() -> Value {
    Value::Dictionary(keys([("Active", Value::Boolean(true)), ("Status", "Success".into())]))
}

/// The battery by its class or by its name; of the rest there is nothing.
fn registry(phone: &Phone, request: &Dictionary) -> Dictionary {
    const BATTERY: [&str; 3] = ["IOPMPowerSource", "AppleSmartBattery", "AppleARMPMUCharger"];
    // Some tools name one of the two and leave the other empty.
    let named = |key| text(request, key).filter(|name| !name.is_empty());
    let asked = named("EntryClass").or_else(|| named("EntryName"));
    let content = match asked {
        Some(name) if BATTERY.contains(&name) => battery(&phone.state().battery),
        _ => Dictionary::new(),
    };
    let content = if phone.faults.is_on("wrong-types") {
        content.into_iter().map(|(key, value)| (key, twisted(value))).collect()
    } else {
        content
    };
    diagnostics([("IORegistry", Value::Dictionary(content))])
}

/// Capacities are in mAh, the temperature in hundredths of a degree.
fn battery(battery: &Battery) -> Dictionary {
    const DESIGN: i64 = 3227;
    let full = DESIGN * i64::from(battery.health) / 100;
    let mut content = keys([
        ("AppleRawCurrentCapacity", (full * i64::from(battery.level) / 100).into()),
        ("AppleRawMaxCapacity", full.into()),
        ("CurrentCapacity", battery.level.into()),
        ("CycleCount", Value::from(212)),
        ("DesignCapacity", DESIGN.into()),
        ("ExternalConnected", battery.external.into()),
        ("FullyCharged", (battery.level == 100).into()),
        ("InstantAmperage", Value::from(if battery.charging { 412 } else { -310 })),
        ("IsCharging", battery.charging.into()),
        ("MaxCapacity", Value::from(100)),
        ("Temperature", (battery.temperature * 100).into()),
        ("Voltage", Value::from(4201)),
        ("built-in", Value::Boolean(true)),
    ]);
    if battery.external {
        let adapter = keys([("Description", "usb host".into()), ("Watts", Value::from(5))]);
        content.insert("AdapterDetails".to_owned(), Value::Dictionary(adapter));
    }
    content
}

/// What a phone answered before iOS 17.4, and its refusal since.
fn mobile_gestalt(phone: &Phone, request: &Dictionary) -> Dictionary {
    let answer = if phone.ios() > Ios::V17 {
        keys([("Status", "MobileGestaltDeprecated".into())])
    } else {
        let asked = request.get("MobileGestaltKeys").and_then(Value::as_array);
        let mut answer = keys([("Status", "Success".into())]);
        for key in asked.into_iter().flatten().filter_map(Value::as_string) {
            if let Some(value) = gestalt_value(phone, key) {
                answer.insert(key.to_owned(), value);
            }
        }
        answer
    };
    diagnostics([("MobileGestalt", Value::Dictionary(answer))])
}

fn gestalt_value(phone: &Phone, key: &str) -> Option<Value> {
    Some(match key {
        "PasswordConfigured" => Value::Boolean(phone.spec.knobs.passcode),
        "PasswordProtected" => Value::Boolean(phone.is_locked()),
        "ProductType" => phone.identity.model.product_type.into(),
        "ProductVersion" => phone.version().into(),
        "BuildVersion" => phone.build().into(),
        "SerialNumber" => phone.identity.serial.as_str().into(),
        "UniqueDeviceID" => phone.udid().into(),
        "UserAssignedDeviceName" => phone.memory().name.into(),
        _ => return None,
    })
}
