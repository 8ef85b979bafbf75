//! The scenes. Each is one function, which is run once for each schedule.

mod stops;

/// One program that is run under many schedules.
pub struct Scene {
    pub name: &'static str,
    pub run: fn(),
}

macro_rules! scenes {
    ($($file:ident: $($name:ident)+;)+) => {
        pub const ALL: &[Scene] = &[
            $($(Scene { name: stringify!($name), run: $file::$name },)+)+
        ];
    };
}

scenes! {
    stops: destroy_against_accept;
}
