package main

import "fmt"

var arch = "?"

func main() { fmt.Println("built by go for", arch) }
