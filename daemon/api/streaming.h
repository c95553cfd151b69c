#pragma once

#include <map>
#include <string>

#include "daemon/api/codec.h"
#include "daemon/api/stored_gzip.h"
#include "daemon/run/run.h"

namespace hutch::daemon {

/// What a piece of a framed answer is. Its frame: this byte, the length in four bytes (the high one first), the piece.
enum class Frame : uint8_t {
    kQuiet = 0,   ///< nothing; the daemon is still there
    kOutput = 1,  ///< of the command's standard output
    kErrors = 2,  ///< of its standard error
    kEnd = 3,     ///< the last one, JSON: how it ended, or {"error"} why that is not known
};

/// The answer of a call that tells what a command says while it says it: as it is with an event at the end, in which
/// form there is no telling apart of the two streams; or framed.
class Streaming {
  public:
    enum class Form { kPlain, kFrames };

    Streaming(Exchange& exchange, Form form);
    Task<Result<void>> begin(std::map<std::string, std::string> headers);
    Sink sink(Frame of);
    /// Done when the client has gone away. Meanwhile it is shown from time to time that the daemon is there, where the
    /// form has a way to.
    Task<> client_gone();
    Task<Result<void>> end(Result<Outcome> outcome);

  private:
    [[nodiscard]] std::string last_words(const Result<Outcome>& outcome) const;
    Task<Result<void>> write(Frame of, std::string_view piece);
    Task<Result<void>> beat();

    Exchange& exchange_;
    Form form_;
    bool packed_;  ///< plain, for a client that takes gzip
    StoredGzip gzip_;
};

}  // namespace hutch::daemon
