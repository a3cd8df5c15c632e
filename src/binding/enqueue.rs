//! `enqueue(handle: number, text: string, flags: number): number`: takes one event in for a client of this thread, its
//! JSON text and its flags. Returns its sequence number from 1, or minus the number of the reason it was refused for.
//!
//! Each event pays for this call, so it is written by hand: what napi-rs puts around a function, two allocations among it,
//! costs as much as all that happens inside. For the same reason it is a function with a number and not a method:
//! unwrapping an object costs more still. `ts/addon.ts` has its type.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use napi::bindgen_prelude::{FromNapiValue as _, JsObjectValue as _, Object};
use napi::{JsString, sys};
use napi_derive::napi;

use super::{environment, refused, with_utf8};
use crate::event::{EventType, Parts};
use crate::queue::Tracking;
use crate::stats::Refusal;

/// What the flags mean. The lowest three bits are the index of the event type.
mod flag {
    pub const TYPE: u32 = 0b111;
    pub const CONTEXT: u32 = 1 << 3;
    pub const MESSAGE_ID: u32 = 1 << 4;
    pub const TIMESTAMP: u32 = 1 << 5;
    pub const INTEGRATIONS: u32 = 1 << 6;
    pub const TRACKED: u32 = 1 << 7;
    /// Whoever waits for a tracked event has it still.
    pub const KNOWN: u32 = 1 << 8;
}

#[napi(module_exports)]
fn export_enqueue(mut exports: Object) -> napi::Result<()> {
    exports.create_named_method("enqueue", enqueue)
}

unsafe extern "C" fn enqueue(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let call = Call { env, info };
    // Nothing here panics; if it did, the process would not survive that it goes through Node.
    let sequence =
        catch_unwind(AssertUnwindSafe(|| call.enqueue())).unwrap_or_else(|_| refused(Refusal::Closed));
    call.number(sequence)
}

/// One call: lives as long as it.
struct Call {
    env: sys::napi_env,
    info: sys::napi_callback_info,
}

impl Call {
    #[allow(clippy::cast_precision_loss, reason = "2^53 events are a few centuries of the fastest caller")]
    fn enqueue(&self) -> f64 {
        let [handle, text, flags] = self.arguments();
        let (Some(handle), Some(text), Some(flags)) =
            (self.whole_number(handle), self.text(text), self.whole_number(flags))
        else {
            return refused(Refusal::Malformed);
        };
        let index = (flags & flag::TYPE) as usize;
        let Some(&event_type) = EventType::ALL.get(index) else { return refused(Refusal::Malformed) };
        let parts = Parts {
            context: flags & flag::CONTEXT != 0,
            message_id: flags & flag::MESSAGE_ID != 0,
            timestamp: flags & flag::TIMESTAMP != 0,
            integrations: flags & flag::INTEGRATIONS != 0,
        };
        let tracking = match (flags & flag::TRACKED != 0, flags & flag::KNOWN != 0) {
            (false, _) => Tracking::Nobody,
            (true, false) => Tracking::Whole,
            (true, true) => Tracking::Fate,
        };
        let accepted = environment::with_client(handle, |client| {
            with_utf8(&text, |text| match text {
                Some(text) => client.enqueue(text, event_type, parts, tracking),
                None => Err(client.refuse(Refusal::TooLarge)),
            })
        });
        accepted.unwrap_or(Err(Refusal::Closed)).map_or_else(refused, |sequence| sequence as f64)
    }

    /// Those that were not given are `undefined`.
    fn arguments(&self) -> [sys::napi_value; 3] {
        let mut values = [ptr::null_mut(); 3];
        let mut count = values.len();
        // SAFETY: the call is going on, and `values` has room for as many as `count` says.
        unsafe {
            sys::napi_get_cb_info(
                self.env,
                self.info,
                &raw mut count,
                values.as_mut_ptr(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        values
    }

    fn whole_number(&self, value: sys::napi_value) -> Option<u32> {
        let mut number = 0;
        // SAFETY: `value` is a live handle of the current call, or null, which is answered with a status.
        let status = unsafe { sys::napi_get_value_uint32(self.env, value, &raw mut number) };
        (status == sys::Status::napi_ok).then_some(number)
    }

    fn text(&self, value: sys::napi_value) -> Option<JsString<'_>> {
        // SAFETY: `value` is a live handle of the current call.
        unsafe { JsString::from_napi_value(self.env, value) }.ok()
    }

    fn number(&self, value: f64) -> sys::napi_value {
        let mut number = ptr::null_mut();
        // SAFETY: the call is going on. Should it fail, null stands for `undefined`.
        unsafe { sys::napi_create_double(self.env, value, &raw mut number) };
        number
    }
}
