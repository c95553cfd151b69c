require 'sinatra'
set :server, 'webrick'
get('/') { "sinatra sings\n" }
