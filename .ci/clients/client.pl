# Perl's clients: client.pl CLIENT CHECK ADDRESS [VALUE] makes the requests of a check and prints what comes back.
use strict;
use warnings;

my ($client, $check, $address, $value) = @ARGV;
my $url = "http://$address";
my $send; # returns the status, the Content-Length and the body of the response
if ($client eq "LWP") {
    require LWP::UserAgent;
    my $agent = LWP::UserAgent->new(keep_alive => 1, timeout => 20);
    $send = sub {
        my ($method, $target, $body, %headers) = @_;
        my $response = $agent->request(HTTP::Request->new($method, "$url$target", [%headers], $body));
        return ($response->code, $response->header("Content-Length"), $response->content);
    };
} else {
    require HTTP::Tiny;
    my $agent = HTTP::Tiny->new(timeout => 20);
    $send = sub {
        my ($method, $target, $body, %headers) = @_;
        my %options = (headers => \%headers);
        $options{content} = $body if defined $body;
        my $response = $agent->request($method, "$url$target", \%options);
        return ($response->{status}, $response->{headers}{"content-length"}, $response->{content});
    };
}

sub show {
    my ($status, undef, $body) = $send->(@_);
    print $status == 200 ? $body : "$status $body";
}

sub pieces {
    my ($count, $length, $pause) = @_;
    return sub {
        return "" if $count-- == 0;
        select(undef, undef, undef, $pause);
        return "\0" x $length;
    };
}

my $large = "\0" x 5_000_000;
my %checks = (
    get => sub { show("GET", "/") },
    head => sub { my ($status, $length) = $send->("HEAD", "/large"); print "$status $length\n" },
    reuse => sub {
        show("GET", "/connection");
        show("POST", "/connection", "text");
        show("GET", "/connection");
    },
    post => sub { show("POST", "/", "text") },
    upload => sub { show("POST", "/", $large) },
    unread => sub { show("POST", "/early", $large) },
    chunked => sub { show("POST", "/", pieces(5, 1_000_000, 0)) },
    expect => sub { show("POST", "/", "text", Expect => "100-continue") },
    large => sub { print length(($send->("GET", "/large"))[2]), "\n" },
    query => sub { show("GET", "/query?q=$value") },
    slow => sub { show("POST", "/early", pieces(30, 2000, 0.1), "Content-Length" => 60_000, Connection => "close") },
    "slow-chunked" => sub { show("POST", "/early", pieces(30, 2000, 0.1)) },
);
$checks{$check}->();
