-- 16 requests in one write.
init = function(args)
    local one = wrk.format()
    sixteen = one:rep(16)
end
request = function() return sixteen end
