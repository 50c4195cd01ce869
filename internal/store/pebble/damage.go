package pebble

// damaged notes damage in a file.
func (s *Store) damaged(path, what string) {
	s.cfg.Logger.Error("a file of the store is damaged", "path", path, "what", what)
}
