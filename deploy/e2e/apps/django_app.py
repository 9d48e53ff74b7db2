"""mozilla-django-oidc, as its guide shows it."""
import os

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse, JsonResponse

issuer = os.environ["ISSUER"]
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    AUTHENTICATION_BACKENDS=["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "mozilla_django_oidc"],
    LOGIN_REDIRECT_URL="/",
    LOGOUT_REDIRECT_URL="/",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "mozilla_django_oidc.middleware.SessionRefresh",
    ],
    OIDC_OP_AUTHORIZATION_ENDPOINT=issuer + "/authorize",
    OIDC_OP_JWKS_ENDPOINT=issuer + "/jwks",
    OIDC_OP_TOKEN_ENDPOINT=issuer + "/token",
    OIDC_OP_USER_ENDPOINT=issuer + "/userinfo",
    OIDC_RP_CLIENT_ID=os.environ["CLIENT_ID"],
    OIDC_RP_CLIENT_SECRET=os.environ["CLIENT_SECRET"],
    OIDC_RP_SIGN_ALGO="RS256",  # its default, HS256, signs with the client's secret
    ROOT_URLCONF=__name__,
    SECRET_KEY="a secret of the test app alone",
)
django.setup()

from django.urls import include, path  # noqa: E402  needs the settings


def home(request):
    return HttpResponse("<h1>Signed in</h1>" if request.user.is_authenticated else "<h1>Welcome</h1>")


def me(request):
    return JsonResponse({"email": request.user.email} if request.user.is_authenticated else None, safe=False)


urlpatterns = [path("", home), path("me", me), path("oidc/", include("mozilla_django_oidc.urls"))]
execute_from_command_line(["app", "migrate", "--verbosity", "0"])
execute_from_command_line(["app", "runserver", "--noreload", "127.0.0.1:" + os.environ["PORT"]])
