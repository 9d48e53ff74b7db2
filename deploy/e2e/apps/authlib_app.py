"""Authlib's Flask client, as its guide shows it."""
import os

from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify, redirect, session, url_for

app = Flask(__name__)
app.secret_key = "a secret of the test app alone"
oauth = OAuth(app)
oauth.register(
    "gatehouse",
    server_metadata_url=os.environ["ISSUER"] + "/.well-known/openid-configuration",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    client_kwargs={"scope": "openid profile email offline_access"},
)


@app.get("/")
def home():
    return "<h1>Signed in</h1>" if "user" in session else "<h1>Welcome</h1>"


@app.get("/login")
def login():
    return oauth.gatehouse.authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback():
    token = oauth.gatehouse.authorize_access_token()
    session["user"] = token["userinfo"]
    session["token"] = {name: token[name] for name in ("access_token", "refresh_token", "token_type", "expires_at")}
    return redirect("/")


@app.get("/me")
def me():
    return jsonify(session.get("user"))


@app.get("/userinfo")
def userinfo():
    return jsonify(oauth.gatehouse.userinfo(token=session["token"]))


@app.get("/refresh")
def refresh():
    old = session["token"]
    new = oauth.gatehouse.fetch_access_token(grant_type="refresh_token", refresh_token=old["refresh_token"])
    return jsonify(refreshed=new["access_token"] != old["access_token"])


app.run("127.0.0.1", int(os.environ["PORT"]))
