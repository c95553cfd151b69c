fn main() {
    println!("built by rust");
}
