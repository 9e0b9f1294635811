#!/usr/bin/env bash
# nginx 1.22.1 (Debian 1.22.1-9+deb12u11) with proxy_cache: an answer with "Vary: *" is not kept, as it should be, but one
# with "Vary: Accept-Language, *" is, and is handed to the next request. In RFC 9110 §12.5.5 a list that has "*" never matches
# another request. nginx compares the whole value with "*", and takes a member of a list for the name of a request header,
# which no request has.
#
# Source: nginx, src/http/ngx_http_upstream.c, ngx_http_upstream_process_vary.
# Output seen:
#	Vary: *                    another answer
#	Vary: Accept-Language, *   the same answer from the cache
#	Vary: *, Accept-Language   the same answer from the cache
set -euo pipefail
version=1.22.1-9+deb12u11

dir=$(mktemp -d)
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" && wait "$pid" || true; fi; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download "nginx=$version" >/dev/null 2>&1 || { apt-get update >/dev/null; apt-get download "nginx=$version" >/dev/null 2>&1; }
dpkg -x nginx_*.deb root
chmod 755 "$dir"

cat >nginx.conf <<CONF
daemon off;
master_process off;
pid $dir/nginx.pid;
error_log $dir/error.log;
events {}
http {
	access_log off;
	client_body_temp_path $dir/body;
	proxy_temp_path $dir/proxy;
	fastcgi_temp_path $dir/fastcgi;
	uwsgi_temp_path $dir/uwsgi;
	scgi_temp_path $dir/scgi;
	proxy_cache_path $dir/cache keys_zone=zone:1m;
	server {
		listen unix:$dir/origin.sock;
		location /star { add_header Cache-Control max-age=60; add_header Vary "*"; return 200 "\$request_id"; }
		location /last { add_header Cache-Control max-age=60; add_header Vary "Accept-Language, *"; return 200 "\$request_id"; }
		location /first { add_header Cache-Control max-age=60; add_header Vary "*, Accept-Language"; return 200 "\$request_id"; }
	}
	server {
		listen unix:$dir/front.sock;
		location / { proxy_pass http://unix:$dir/origin.sock; proxy_cache zone; }
	}
}
CONF
root/usr/sbin/nginx -e "$dir/error.log" -c "$dir/nginx.conf" &
pid=$!
for _ in $(seq 100); do [ -S front.sock ] && break; sleep 0.1; done

ask() { curl -sf --unix-socket front.sock -H 'Accept-Language: en' "http://front.example$1"; }
twice() {
	local first second
	first=$(ask "$2")
	second=$(ask "$2")
	if [ "$first" = "$second" ]; then answer='the same answer from the cache'; else answer='another answer'; fi
	printf '%-26s %s\n' "$1" "$answer"
}
{
	twice 'Vary: *' /star
	twice 'Vary: Accept-Language, *' /last
	twice 'Vary: *, Accept-Language' /first
} | tee out
diff out - <<'WANT'
Vary: *                    another answer
Vary: Accept-Language, *   the same answer from the cache
Vary: *, Accept-Language   the same answer from the cache
WANT
