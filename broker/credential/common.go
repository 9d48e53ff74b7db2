package credential

func common(password string) bool { return false }
