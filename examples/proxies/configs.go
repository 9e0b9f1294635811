package main

// proxies are the columns of the table. Each has the least configuration that makes it cache and compress.
var proxies = []proxy{
	{
		name: "nginx", pack: "nginx-light", version: []string{"nginx", "-v"},
		files: map[string]string{"nginx.conf": `
daemon off;
user root;
pid {{.Dir}}/nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	proxy_cache_path {{.Dir}}/cache keys_zone=larder:1m;
	gzip on;
	gzip_types text/plain;
	server {
		listen {{.Listen}};
		location / {
			proxy_pass http://{{.Origin}};
			proxy_cache larder;
{{- if .Advised}}
			proxy_cache_use_stale error timeout http_500 http_502 http_503 http_504;
			proxy_cache_background_update on;
			proxy_cache_revalidate on;
			proxy_cache_lock on;
			proxy_cache_bypass $http_authorization;
			proxy_no_cache $http_authorization;
{{- end}}
		}
	}
}
`},
		command: []string{"nginx", "-c", "{{.Dir}}/nginx.conf"},
	},
	{
		name: "Varnish", pack: "varnish", version: []string{"varnishd", "-V"},
		files: map[string]string{"default.vcl": `
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "{{.OriginPort}}"; }
sub vcl_backend_response { set beresp.do_gzip = true; }
`},
		command: []string{"varnishd", "-F", "-j", "none", "-a", "{{.Listen}}", "-f", "{{.Dir}}/default.vcl", "-n", "{{.Dir}}/work", "-s", "malloc,16m",
			"-p", "default_ttl={{if .Advised}}0{{else}}120{{end}}", "-p", "default_grace={{if .Advised}}0{{else}}10{{end}}",
			"-p", "default_keep={{if .Advised}}3600{{else}}0{{end}}"},
	},
	{
		name: "Squid", pack: "squid", version: []string{"squid", "-v"},
		files: map[string]string{"squid.conf": `
http_port {{.Listen}} accel defaultsite=origin.example
cache_peer 127.0.0.1 parent {{.OriginPort}} 0 no-query originserver
http_access allow all
cache_mem 16 MB
access_log none
cache_log {{.Dir}}/cache.log
pid_filename {{.Dir}}/squid.pid
coredump_dir {{.Dir}}
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
`},
		command: []string{"squid", "-N", "-f", "{{.Dir}}/squid.conf"},
	},
	{
		name: "HAProxy", pack: "haproxy", version: []string{"haproxy", "-v"},
		files: map[string]string{"haproxy.cfg": `
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
cache larder
	total-max-size 16
	process-vary on
frontend in
	bind {{.Listen}}
	compression algo gzip
	compression type text/plain
	default_backend app
backend app
	http-request cache-use larder
	http-response cache-store larder
	server origin {{.Origin}}
`},
		command: []string{"haproxy", "-db", "-f", "{{.Dir}}/haproxy.cfg"},
	},
	{
		name: "httpd", pack: "apache2", version: []string{"apache2", "-v"},
		files: map[string]string{
			"cache/.keep": "",
			"httpd.conf": `
ServerRoot {{.Dir}}
DefaultRuntimeDir {{.Dir}}
PidFile {{.Dir}}/httpd.pid
ErrorLog {{.Dir}}/error.log
ServerName origin.example
Listen {{.Listen}}
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule cache_module /usr/lib/apache2/modules/mod_cache.so
LoadModule cache_disk_module /usr/lib/apache2/modules/mod_cache_disk.so
LoadModule filter_module /usr/lib/apache2/modules/mod_filter.so
LoadModule deflate_module /usr/lib/apache2/modules/mod_deflate.so
AddOutputFilterByType DEFLATE text/plain
CacheRoot {{.Dir}}/cache
CacheEnable disk /
{{- if .Advised}}
CacheDefaultExpire 0
CacheIgnoreHeaders Set-Cookie
{{- end}}
ProxyPass / http://{{.Origin}}/
`},
		command: []string{"apache2", "-DFOREGROUND", "-f", "{{.Dir}}/httpd.conf"},
	},
	{
		name: "Traffic Server", pack: "trafficserver", version: []string{"traffic_server", "-V"},
		files: map[string]string{
			"cache/.keep": "", "log/.keep": "", "run/.keep": "",
			"runroot.yaml": `
prefix: /usr
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/sbin
sysconfdir: {{.Dir}}/etc
datadir: {{.Dir}}
includedir: /usr/include
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
localstatedir: {{.Dir}}
runtimedir: {{.Dir}}/run
logdir: {{.Dir}}/log
cachedir: {{.Dir}}/cache
`,
			"etc/records.config": `
CONFIG proxy.config.http.server_ports STRING {{.Port}}:ip-in=127.0.0.1
CONFIG proxy.config.admin.user_id STRING nobody
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 2
`,
			"etc/remap.config":   "map / http://{{.Origin}}/\n",
			"etc/storage.config": "{{.Dir}}/cache 32M\n",
			"etc/plugin.config":  "",
			"etc/ip_allow.yaml":  "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n",
		},
		command: []string{"traffic_server", "--run-root={{.Dir}}"},
	},
}
