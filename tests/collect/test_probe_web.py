"""What the probe prints of web servers' configuration holds no secret: only directives of an allow-list, also where many stand in one line."""

from __future__ import annotations

import pytest

from tests.collect.test_probe_accounts import AWKS, CANARY, redacted


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("user  www-data; # the account", "user  www-data;"),
        ("ssl_protocols TLSv1.2; # Dropping SSLv3", "ssl_protocols TLSv1.2;"),
        (f'server {{ listen 443 ssl; proxy_set_header Authorization "Basic {CANARY}"; }}', "server { listen 443 ssl; ; }"),
        (f"location / {{ proxy_pass http://u:{CANARY}@b; proxy_set_header X-Api-Key {CANARY}; }}", "location / { ; ; }"),
        (f'location = /hook/{CANARY} {{ return 200 "{CANARY}"; }}', "location *** { return 200; }"),
        (f"server {{ listen 80; set $secret {CANARY}; }}", "server { listen 80; ; }"),
        (f"return 301 https://$host/?token={CANARY};", "return 301;"),
        (f'if ($http_x_key != "{CANARY}") {{ return 403; }}', " { return 403; }"),
        (f"'$request; {CANARY}; server_tokens on';", ""),
        (f"Define DB_PASSWORD {CANARY}", "Define DB_PASSWORD ***"),
        ("Define docroot /srv/www", "Define docroot /srv/www"),
        (f'<Location "/hook/{CANARY}">', "<Location ***>"),
        (f"Require expr \"%{{HTTP:X-Key}} == '{CANARY}'\"", "Require expr ***"),
        ("Require ip 192.0.2.0/24", "Require ip 192.0.2.0/24"),
        (f"SetEnv KEY {CANARY}", ""),
        (
            f'add_header Strict-Transport-Security "max-age=1" always; proxy_set_header K {CANARY};',
            'add_header Strict-Transport-Security "max-age=1" always; ;',
        ),
        (
            'Header always set Strict-Transport-Security "max-age=31536000; includeSubDomains"',
            'Header always set Strict-Transport-Security "max-age=31536000; includeSubDomains"',
        ),
        ("User ${APACHE_RUN_USER}", "User ${APACHE_RUN_USER}"),
        (f"export APACHE_RUN_USER=www-data; export X={CANARY}", "export APACHE_RUN_USER=www-data; "),
        (r"location ~ /\.(git|env) { return 404; }", r"location ~ /\.(git|env) { return 404; }"),
        ("<Directory /var/www/>", "<Directory /var/www/>"),
        ("	Options Indexes FollowSymLinks", "Options Indexes FollowSymLinks"),
    ],
)
def test_only_directives_of_the_allow_list_leave_the_host(awk: list[str], line: str, kept: str) -> None:
    assert redacted(awk, "web", line + "\n").rstrip("\n") == kept
