package providers

// Approval returns where an administrator of the person's organisation approves this app, "" for nowhere.
func (g *guarded) Approval() string {
	u, ok := g.Upstream.(*openID)
	if !ok || u.approval == nil || g.callback == nil {
		return ""
	}
	return u.approval(g.callback(g.id))
}
