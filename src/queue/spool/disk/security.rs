//! Whose a directory of Windows is, and who may use it.

use std::ffi::c_void;
use std::io;
use std::os::windows::io::RawHandle;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{CloseHandle, ERROR_SUCCESS, HANDLE, LocalFree};
use windows_sys::Win32::Globalization::lstrlenW;
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo,
    SDDL_REVISION_1, SE_FILE_OBJECT, SetSecurityInfo,
};
use windows_sys::Win32::Security::{
    ACL, DACL_SECURITY_INFORMATION, EqualSid, GetSecurityDescriptorDacl, GetTokenInformation, IsWellKnownSid,
    OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, TOKEN_QUERY,
    TOKEN_USER, TokenUser, WinBuiltinAdministratorsSid, WinLocalSystemSid,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// The user of this process. The identifier lies behind the structure that points to it.
pub struct User {
    /// A `TOKEN_USER`, as aligned as one has to be.
    token: Vec<u64>,
}

impl User {
    /// Asks the system.
    pub fn of_this_process() -> io::Result<Self> {
        let token = Token::of_this_process()?;
        let mut bytes = 0_u32;
        // SAFETY: with no buffer it only says how large one has to be.
        unsafe { GetTokenInformation(token.0, TokenUser, null_mut(), 0, &raw mut bytes) };
        let mut buffer = vec![0_u64; (bytes as usize).div_ceil(size_of::<u64>())];
        // SAFETY: the buffer has at least as many bytes as said.
        let succeeded = unsafe {
            GetTokenInformation(token.0, TokenUser, buffer.as_mut_ptr().cast(), bytes, &raw mut bytes)
        };
        if succeeded == 0 || buffer.is_empty() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { token: buffer })
    }

    fn sid(&self) -> PSID {
        let user: *const TOKEN_USER = self.token.as_ptr().cast();
        // SAFETY: the system has filled the buffer with this structure, and u64 is aligned as it is.
        unsafe { (*user).User.Sid }
    }

    /// Nobody but this user and the system may use the directory behind the handle and what will be in it.
    pub fn keep_for_itself(&self, directory: RawHandle) -> io::Result<()> {
        let descriptor = self.private_descriptor()?;
        let mut list: *mut ACL = null_mut();
        let (mut present, mut defaulted) = (0, 0);
        // SAFETY: the descriptor is a valid one, and all pointers are to variables that live through the call.
        let succeeded = unsafe {
            GetSecurityDescriptorDacl(descriptor.0, &raw mut present, &raw mut list, &raw mut defaulted)
        };
        if succeeded == 0 || present == 0 {
            return Err(io::Error::last_os_error());
        }
        let what = DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
        // SAFETY: the handle is open, and the list lies in `descriptor`, which lives until the end of this function.
        let status =
            unsafe { SetSecurityInfo(directory, SE_FILE_OBJECT, what, null_mut(), null_mut(), list, null()) };
        result(status)
    }

    /// Full access for the user and the system, inherited by files and directories; nothing from above is inherited.
    fn private_descriptor(&self) -> io::Result<LocalDescriptor> {
        let text = format!("D:P(A;OICI;FA;;;{})(A;OICI;FA;;;SY)\0", self.sid_text()?);
        let wide: Vec<u16> = text.encode_utf16().collect();
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        // SAFETY: the text ends with a zero; the descriptor is freed by `LocalDescriptor`.
        let succeeded = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                wide.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                null_mut(),
            )
        };
        if succeeded == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(LocalDescriptor(descriptor))
    }

    fn sid_text(&self) -> io::Result<String> {
        let mut text: *mut u16 = null_mut();
        // SAFETY: the identifier is one of the system's; what is returned is freed below.
        let succeeded = unsafe { ConvertSidToStringSidW(self.sid(), &raw mut text) };
        if succeeded == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the text ends with a zero.
        let length = usize::try_from(unsafe { lstrlenW(text) }).unwrap_or_default();
        // SAFETY: that many characters were just read.
        let characters = unsafe { std::slice::from_raw_parts(text, length) };
        let owned = String::from_utf16_lossy(characters);
        // SAFETY: the system wants it back with this call, and nothing refers to it any more.
        unsafe { LocalFree(text.cast()) };
        Ok(owned)
    }
}

/// The owner of a file or directory.
pub struct Owner {
    sid: PSID,
    /// Where the identifier lies.
    _descriptor: LocalDescriptor,
}

impl Owner {
    /// Asks the system about an open file.
    pub fn of(file: RawHandle) -> io::Result<Self> {
        let mut sid: PSID = null_mut();
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        // SAFETY: the handle is open; what is returned is freed by `LocalDescriptor`.
        let status = unsafe {
            GetSecurityInfo(
                file,
                SE_FILE_OBJECT,
                OWNER_SECURITY_INFORMATION,
                &raw mut sid,
                null_mut(),
                null_mut(),
                null_mut(),
                &raw mut descriptor,
            )
        };
        result(status)?;
        Ok(Self { sid, _descriptor: LocalDescriptor(descriptor) })
    }

    /// Whether it is this user.
    pub fn is(&self, user: &User) -> bool {
        // SAFETY: both identifiers are the system's and live as long as their owners.
        unsafe { EqualSid(self.sid, user.sid()) != 0 }
    }

    /// Whether it is the system or its administrators, to whom belongs what an administrator creates.
    pub fn is_of_system(&self) -> bool {
        // SAFETY: the identifier is the system's and lives as long as `self`.
        let is = |kind| unsafe { IsWellKnownSid(self.sid, kind) != 0 };
        is(WinBuiltinAdministratorsSid) || is(WinLocalSystemSid)
    }
}

/// A descriptor that the system has allocated.
struct LocalDescriptor(*mut c_void);

impl Drop for LocalDescriptor {
    fn drop(&mut self) {
        // SAFETY: the system has allocated it for us and wants it back with this call.
        unsafe { LocalFree(self.0) };
    }
}

struct Token(HANDLE);

impl Token {
    fn of_this_process() -> io::Result<Self> {
        let mut token: HANDLE = null_mut();
        // SAFETY: it takes nothing and returns a constant.
        let process = unsafe { GetCurrentProcess() };
        // SAFETY: the handle of this process needs no closing; that of the token is closed by `Token`.
        let succeeded = unsafe { OpenProcessToken(process, TOKEN_QUERY, &raw mut token) };
        if succeeded == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(token)) }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // SAFETY: it was opened by us and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

fn result(status: u32) -> io::Result<()> {
    if status == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(status.cast_signed())) }
}
