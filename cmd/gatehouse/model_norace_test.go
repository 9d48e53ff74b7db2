//go:build !race

package main

const modelShare = 1
