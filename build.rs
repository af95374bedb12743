//! Links the binding the way Node's loader expects.

fn main() {
    napi_build::setup();
}
