//! The macro that makes the calls of the port and of its sub-traits.

/// Makes the calls of a trait: each runs an async function on a session of its kind. The function is given the
/// session, what stands behind its name here, and then the call's own arguments.
macro_rules! calls {
    ($(
        fn $name:ident($($argument:ident: $Type:ty),*) -> $Done:ty
            => $access:ident, $doing:literal, $work:path $(, $given:expr)*;
    )*) => {$(
        fn $name<'a>(&'a self, $($argument: $Type),*) -> $crate::catalog::Answer<'a, $Done> {
            self.run($crate::catalog::sql::session::SessionKind::$access, $doing, move |session| {
                Box::pin($work(session, $($given,)* $($argument),*))
            })
        }
    )*};
}
pub(super) use calls;
