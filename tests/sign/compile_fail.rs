//! What must not compile.

#[test]
fn only_the_verifier_makes_a_proof() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
