package redisstore

// ModulePath is modulePath for tests, whose own binary has none.
var ModulePath = modulePath
