"""JupyterHub with oauthenticator's GenericOAuthenticator."""
import os

issuer = os.environ["ISSUER"]
port = os.environ["PORT"]
c = get_config()  # noqa: F821  JupyterHub provides it
c.JupyterHub.bind_url = f"http://127.0.0.1:{port}"
c.JupyterHub.hub_port = int(os.environ["PORT2"])
c.JupyterHub.redirect_to_server = False
c.JupyterHub.authenticator_class = "generic-oauth"
c.ConfigurableHTTPProxy.command = [os.environ["PROXY"]]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:" + os.environ["PORT3"]
c.ConfigurableHTTPProxy.auth_token = "0123456789abcdef0123456789abcdef"
c.GenericOAuthenticator.allow_all = True
c.GenericOAuthenticator.authorize_url = issuer + "/authorize"
c.GenericOAuthenticator.client_id = os.environ["CLIENT_ID"]
c.GenericOAuthenticator.client_secret = os.environ["CLIENT_SECRET"]
c.GenericOAuthenticator.oauth_callback_url = f"http://127.0.0.1:{port}/hub/oauth_callback"
c.GenericOAuthenticator.scope = ["openid", "profile", "email"]
c.GenericOAuthenticator.token_url = issuer + "/token"
c.GenericOAuthenticator.userdata_url = issuer + "/userinfo"
c.GenericOAuthenticator.username_claim = "preferred_username"
