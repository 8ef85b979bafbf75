# Ruby's clients: client.rb CLIENT CHECK ADDRESS [VALUE] makes the requests of a check and prints what comes back.
require "net/http"

client, check, address, value = ARGV
host, port = address.split(":")

# A body that is sent in pieces, of 60 KB at 20 KB/s or of 5 MB at once.
class Pieces
  def initialize(count, length, pause)
    @count, @length, @pause = count, length, pause
  end

  def read(_length = nil, buffer = nil)
    return nil if @count.zero?
    @count -= 1
    sleep @pause
    piece = "\0" * @length
    buffer ? buffer.replace(piece) : piece
  end
end

SLOWLY = Pieces.new(30, 2000, 0.1)
IN_PIECES = Pieces.new(5, 1_000_000, 0)

if client == "excon"
  require "excon"
  connection = if check == "unix"
    Excon.new("unix:///", socket: address)
  else
    Excon.new("http://#{address}", persistent: true)
  end
  answer = lambda do |method, target, body = nil, headers = {}|
    request = { method: method, path: target, headers: headers }
    request[:path], request[:query] = target.split("?", 2)
    if body.is_a?(Pieces)
      request[:request_block] = -> { body.read.to_s }
    else
      request[:body] = body
    end
    response = connection.request(request)
    [response.status, response.headers, response.body]
  end
else
  connection = Net::HTTP.new(host, port).start
  answer = lambda do |method, target, body = nil, headers = {}|
    kind = { "GET" => Net::HTTP::Get, "HEAD" => Net::HTTP::Head, "POST" => Net::HTTP::Post }[method]
    request = kind.new(target, headers)
    if body.is_a?(Pieces)
      request.body_stream = body
      request["Transfer-Encoding"] = "chunked" unless headers["Content-Length"]
    elsif body
      request.body = body
    end
    response = connection.request(request)
    [response.code.to_i, response, response.body]
  end
end

show = lambda do |*request|
  status, _, body = answer.call(*request)
  print status == 200 ? body : "#{status} #{body}"
end

case check
when "get", "unix" then show.call("GET", "/")
when "head"
  status, headers, _ = answer.call("HEAD", "/large")
  puts "#{status} #{headers["Content-Length"]}"
when "reuse"
  show.call("GET", "/connection")
  show.call("POST", "/connection", "text")
  show.call("GET", "/connection")
when "post" then show.call("POST", "/", "text")
when "upload" then show.call("POST", "/", "\0" * 5_000_000)
when "unread" then show.call("POST", "/early", "\0" * 5_000_000)
when "chunked" then show.call("POST", "/", IN_PIECES)
when "expect" then show.call("POST", "/", "text", { "Expect" => "100-continue" })
when "large" then puts answer.call("GET", "/large")[2].bytesize
when "query" then show.call("GET", "/query?q=#{value}")
when "slow" then show.call("POST", "/early", SLOWLY, { "Content-Length" => "60000", "Connection" => "close" })
when "slow-chunked" then show.call("POST", "/early", SLOWLY)
else abort "no such check: #{check}"
end
