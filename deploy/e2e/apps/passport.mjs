// passport-openidconnect, as its guide shows it.
import express from 'express'
import session from 'express-session'
import passport from 'passport'
import Strategy from 'passport-openidconnect'

const { ISSUER: issuer, CLIENT_ID: clientID, CLIENT_SECRET: clientSecret, PORT } = process.env
passport.use(new Strategy({
  issuer, clientID, clientSecret, authorizationURL: `${issuer}/authorize`, tokenURL: `${issuer}/token`, userInfoURL: `${issuer}/userinfo`,
  callbackURL: `http://127.0.0.1:${PORT}/callback`, scope: ['profile', 'email'], nonce: true,
}, (_issuer, profile, done) => done(null, profile)))
passport.serializeUser((user, done) => done(null, user))
passport.deserializeUser((user, done) => done(null, user))
const app = express()
app.use(session({ secret: 'a secret of the test app alone', resave: false, saveUninitialized: false }))
app.use(passport.authenticate('session'))
app.get('/login', passport.authenticate('openidconnect'))
app.get('/callback', passport.authenticate('openidconnect', { successRedirect: '/', failureRedirect: '/failed', failureMessage: true }))
app.get('/failed', (req, res) => res.status(401).json(req.session.messages))
app.get('/me', (req, res) => res.json(req.user ? { sub: req.user.id, email: req.user.emails?.[0].value, name: req.user.displayName } : null))
app.get('/', (req, res) => res.send(`<h1>${req.user ? 'Signed in' : 'Welcome'}</h1>`))
app.listen(PORT, '127.0.0.1')
