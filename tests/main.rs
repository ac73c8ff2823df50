//! The one test binary. Where does my test go? Into the module below that names its subject.
