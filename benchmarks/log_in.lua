-- Sends the form of a log-in with each request of wrk. Arguments: its content type and its body.
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = args[1]
  wrk.body = args[2]
end
