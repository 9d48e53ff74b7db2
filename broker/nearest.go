package broker

// Nearest returns the word that was probably meant by a mistyped one: the one with the fewest
// changed letters, if these are few. It returns "" if none is near.
func Nearest(mistyped string, known []string) (nearest string) {
	least := 2 + len(mistyped)/8
	for _, word := range known {
		if d := distance(mistyped, word); d <= least && d < len(mistyped)/2+1 {
			nearest, least = word, d-1
		}
	}
	return nearest
}

// distance is how many letters must be inserted, removed, replaced or swapped with their
// neighbour to turn one word into the other.
func distance(a, b string) int {
	var before, last []int // of the two rows above
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			changed := 1
			if a[i] == b[j] {
				changed = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+changed)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
