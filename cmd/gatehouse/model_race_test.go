//go:build race

package main

// modelShare divides the model's steps under the race detector, which makes each
// of them cost ten times as much. The check runs all of them without it as well.
const modelShare = 20
