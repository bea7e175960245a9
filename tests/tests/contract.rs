use image_updater_tests::world::World;
#[test]
fn a() {
    let _w = World::plain();
}
