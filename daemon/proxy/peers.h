#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/api/elsewhere.h"
#include "daemon/api/tls.h"
#include "daemon/fleet/fleet.h"
#include "daemon/proxy/far.h"

namespace hutch::daemon {

/// One call of another host of the fleet, whose answer is read whole.
struct PeerCall {
    std::string method;
    std::string target;
    Pairs headers{};  ///< beside those of told_of()
    std::string body{};
    size_t most = 64 << 20;  ///< bytes of an answer
};

/// Of a call that another host is given whole: what is for it, of what the client has sent.
Pairs passed_headers(const Request& request);

/// The connections to the other hosts of the fleet, some of them kept for the next call. Event loop thread only.
class Peers {
  public:
    Peers(asio::any_io_executor executor, Fleet& fleet, std::shared_ptr<Tls> tls)
        : executor_(std::move(executor)), fleet_(fleet), tls_(std::move(tls)) {}

    /// A connection to that host, which has shown that it is it: one that was kept, or a new one. A host that refuses
    /// is waited for, for as long as a restart of its hutchd takes. kNotFound: it is not there.
    Task<Result<Wire>> connect(std::string host);
    Task<Result<Wire>> connect_anew(std::string host);
    std::optional<Wire> kept(const std::string& host);
    /// Of a call that has come to its end, on both sides.
    void keep(const std::string& host, Wire wire);
    /// kNotFound: it was not there to be asked. Any other error: it may have done what it was asked for. May be
    /// cancelled, which breaks the call off.
    Task<Result<Response>> ask(std::string host, const Request& asker, PeerCall call);
    /// Since when a host says nothing, or why it does not answer, as the end of a sentence.
    [[nodiscard]] std::string state_of(const std::string& host) const;

  private:
    Task<Result<Wire>> open(std::string host);
    Task<Result<Response>> read_answer(Wire& wire, const std::string& host, size_t most, bool& stays);

    struct Kept {
        Wire wire;
        std::chrono::steady_clock::time_point since;
    };
    asio::any_io_executor executor_;
    Fleet& fleet_;
    std::shared_ptr<Tls> tls_;
    std::map<std::string, std::vector<Kept>> kept_;
};

/// Another host, for a call that is passed on as it comes.
class PeerServer : public Far {
  public:
    PeerServer(Peers& peers, std::string host, HttpExchange& exchange, bool web_socket)
        : peers_(peers), host_(std::move(host)), exchange_(exchange), web_socket_(web_socket) {}

    [[nodiscard]] std::string name() const override { return "Host " + host_; }
    Task<Result<Wire>> connect() override { co_return co_await peers_.connect_anew(host_); }
    std::optional<Wire> kept() override { return peers_.kept(host_); }
    void keep(Wire wire) override { peers_.keep(host_, std::move(wire)); }
    [[nodiscard]] Refused refusal_of(const Error& error) const override;
    [[nodiscard]] std::string head_of(const boost::beast::http::header<true>& request,
                                      const BodyFraming& body) const override;
    Task<Result<void>> ready() override { co_return Result<void>(); }
    void count(size_t, size_t) override {}
    void answers() override { exchange_.answers(); }

  private:
    Peers& peers_;
    std::string host_;
    HttpExchange& exchange_;
    bool web_socket_;
};

}  // namespace hutch::daemon
