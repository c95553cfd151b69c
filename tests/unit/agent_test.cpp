// What the agents' programs write, as it was recorded of them, and what is read out of it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "daemon/agent/charge.h"
#include "daemon/agent/harness.h"
#include "daemon/agent/mcp.h"

namespace hutch::daemon {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

struct Told {
    std::vector<std::string> events;  ///< name and data
    AgentResult result;
};

Told read_in_pieces(const Harness& harness, const std::string& stream, size_t size) {
    Told told;
    const auto transcript = harness.transcript();
    const auto take = [&told](const AgentEvent& event) { told.events.push_back(event.name + " " + event.data.dump()); };
    for (size_t begin = 0; begin < stream.size(); begin += size) {
        transcript->feed(std::string_view(stream).substr(begin, size), take);
    }
    transcript->end(take);
    told.result = transcript->result();
    return told;
}

Told read_recorded(const Harness& harness, const char* name) {
    const std::string stream = read_file_at(AT_FDCWD, std::string(RECORDED "/") + name).value();
    Told told = read_in_pieces(harness, stream, stream.size());
    for (const size_t size : {1U, 7U, 100U}) EXPECT_EQ(read_in_pieces(harness, stream, size).events, told.events);
    return told;
}

TEST(ClaudeCode, IsReadAsItWasRecorded) {
    const Told told = read_recorded(claude_code(), "claude.jsonl");
    EXPECT_THAT(
        told.events,
        ElementsAre(
            R"(text {"text":"I will"})", R"(text {"text":" look."})",
            R"(tool {"input":{"command":"echo hi > made; ls","description":"List"},"name":"Bash","toolCallId":"toolu_1"})",
            R"(tool_result {"output":"made","toolCallId":"toolu_1"})", R"(text {"text":"All is"})",
            R"(text {"text":" done."})"));
    EXPECT_EQ(told.result.output, "All is done.");
    EXPECT_TRUE(told.result.finished);
    EXPECT_FALSE(told.result.error);
    EXPECT_EQ(told.result.input_tokens, 240);
    EXPECT_EQ(told.result.cached_input_tokens, 40);
    EXPECT_EQ(told.result.output_tokens, 20);
    EXPECT_NEAR(told.result.cost_usd, 0.000912, 1e-9);
    EXPECT_TRUE(told.result.cost_of_session);
    EXPECT_EQ(told.result.session.size(), 36U);
}

TEST(Codex, IsReadAsItWasRecorded) {
    const Told told = read_recorded(codex(), "codex.jsonl");
    EXPECT_THAT(
        told.events,
        ElementsAre(
            R"(text {"text":"I will look."})",
            R"(tool {"input":{"command":"/bin/bash -lc 'echo hi > made; ls'"},"name":"shell","toolCallId":"item_2"})",
            R"(tool_result {"output":"made\n","toolCallId":"item_2"})", R"(text {"text":"All is done."})"));
    EXPECT_EQ(told.result.output, "All is done.");
    EXPECT_TRUE(told.result.finished);
    EXPECT_EQ(told.result.input_tokens, 200);
    EXPECT_EQ(told.result.cached_input_tokens, 40);
    EXPECT_EQ(told.result.output_tokens, 20);
    EXPECT_EQ(told.result.session.size(), 36U);
}

TEST(Codex, IsChargedForEachPromptOfASessionOnce) {
    AgentRecord agent;
    agent.harness = "codex";
    PromptRecord first;
    PromptRecord second;
    first.harness = second.harness = "codex";
    charge(read_recorded(codex(), "codex.jsonl").result, agent, first);
    const AgentResult resumed = read_recorded(codex(), "codex-resumed.jsonl").result;
    EXPECT_EQ(resumed.session, agent.session);
    EXPECT_EQ(resumed.input_tokens, 300) << "the program tells the session's";
    charge(resumed, agent, second);
    EXPECT_EQ(first.input_tokens, 200);
    EXPECT_EQ(second.input_tokens, 100);
    EXPECT_EQ(second.cached_input_tokens, 20);
    EXPECT_EQ(second.output_tokens, 10);
    EXPECT_EQ(agent.input_tokens, 300);
    EXPECT_EQ(agent.output_tokens, 30);
    EXPECT_EQ(agent.prompts, 2);
}

AgentResult session_of(const char* session, double cost) {
    AgentResult result;
    result.session = session;
    result.cost_usd = cost;
    result.cost_of_session = cost > 0;
    return result;
}

TEST(Charge, OfASessionGoesOnOverAPromptThatDidNotTell) {
    AgentRecord agent;
    agent.harness = "claude-code";
    PromptRecord prompt;
    prompt.harness = "claude-code";
    const auto cost_of = [&](const AgentResult& result) {
        charge(result, agent, prompt);
        return prompt.cost_nano_usd;
    };
    EXPECT_EQ(cost_of(session_of("a", 1)), 1'000'000'000);
    EXPECT_EQ(cost_of(session_of("a", 0)), 0) << "cancelled";
    EXPECT_EQ(cost_of(session_of("a", 4)), 3'000'000'000);
    EXPECT_EQ(cost_of(session_of("b", 5)), 5'000'000'000) << "another session begins anew";
    agent.harness = "custom";
    EXPECT_EQ(cost_of(session_of("b", 7)), 7'000'000'000);
    EXPECT_EQ(agent.session_total.cost_nano_usd, 5'000'000'000) << "what another harness did is not its";
    EXPECT_EQ(agent.cost_nano_usd, 16'000'000'000);
}

TEST(Opencode, IsReadAsItWasRecorded) {
    const Told told = read_recorded(opencode(), "opencode.jsonl");
    EXPECT_THAT(
        told.events,
        ElementsAre(
            R"(text {"text":"I will look."})",
            R"(tool {"input":{"command":"echo hi > made; ls","description":"List"},"name":"bash","toolCallId":"toolu_1"})",
            R"(tool_result {"output":"made\n","toolCallId":"toolu_1"})", R"(text {"text":"All is done."})"));
    EXPECT_EQ(told.result.output, "All is done.");
    EXPECT_TRUE(told.result.finished);
    EXPECT_EQ(told.result.input_tokens, 240);
    EXPECT_NEAR(told.result.cost_usd, 0.000912, 1e-9);
    EXPECT_FALSE(told.result.cost_of_session);
    EXPECT_THAT(told.result.session, testing::StartsWith("ses_"));
}

TEST(Transcripts, PassOverWhatTheyDoNotUnderstand) {
    for (const Harness* harness : {&claude_code(), &codex(), &opencode(), &custom_harness()}) {
        const std::string rubbish =
            "{]\n\n[1]\n\"x\"\nnull\n{\"type\":5}\n{\"type\":\"result\",\"usage\":[],\"is_error\":\"no\"}\n"
            "{\"type\":\"assistant\",\"message\":{\"content\":[1,null,{\"type\":\"tool_use\"}]}}\n"
            "{\"type\":\"item.completed\",\"item\":[]}\nevent: text\ndata: [\n\xff\xfe\n";
        (void)read_in_pieces(*harness, rubbish, 3);
    }
    const Told told = read_in_pieces(custom_harness(), "data: {}\nevent: text\ndata: {\"text\":\"x\"}", 5);
    EXPECT_THAT(told.events, ElementsAre("text {\"text\":\"x\"}"));
    EXPECT_FALSE(told.result.finished);
}

TEST(Models, OfOldClientsAreAnthropics) {
    const ModelName name = split_model("claude/sonnet_4_5");
    EXPECT_EQ(name.provider, "anthropic");
    EXPECT_EQ(name.name, "claude-sonnet-4-5");
    EXPECT_EQ(split_model("openai/gpt_5").name, "gpt_5");
}

TEST(Models, NameTheirProviderOrAreToldHow) {
    const auto why = [](const char* harness, const char* model) {
        const auto checked = check_model(harness, model);
        return checked.ok() ? std::string() : checked.error().message;
    };
    for (const char* model : {"anthropic/claude-sonnet-4", "claude/sonnet_4_5", "openrouter/google/gemini", "mine/x"}) {
        EXPECT_EQ(why("opencode", model), "");
    }
    EXPECT_EQ(why("custom", "anything"), "");
    EXPECT_THAT(why("", "claude-sonnet-4"), HasSubstr("say anthropic/claude-sonnet-4"));
    EXPECT_THAT(why("codex", "mine"), HasSubstr("say openai/mine"));
    EXPECT_THAT(why("claude-code", "gpt-5"), HasSubstr("say openai/gpt-5"));
    EXPECT_THAT(why("opencode", "gemini"), HasSubstr("say PROVIDER/gemini, such as openrouter/gemini"));
    EXPECT_THAT(why("opencode", "/gemini"), HasSubstr("does not name its provider"));
}

TEST(Transcripts, KeepTheEndOfWhatIsNoEvent) {
    const std::string event = R"({"type":"system","subtype":"init","session_id":"s"})";
    const Told told = read_in_pieces(claude_code(), "Invalid key\n\n" + event + "\nLog in", 3);
    EXPECT_EQ(told.result.plain, "Invalid key\nLog in\n");
    std::string much;
    for (int i = 0; i < 10'000; ++i) much += std::to_string(i) + "\n";
    const std::string kept = read_in_pieces(codex(), much, 1000).result.plain;
    EXPECT_TRUE(kept.size() >= 8192 && kept.size() <= 2 * 8192) << kept.size();
    EXPECT_TRUE(much.ends_with(kept));
}

TEST(ClaudeCode, TellsTheErrorsOfAnEndWithoutAnAnswer) {
    const std::string end = R"({"type":"result","subtype":"error_during_execution","is_error":true,"errors":["no such)"
                            R"( session","try again"]})";
    EXPECT_EQ(read_in_pieces(claude_code(), end, 10).result.error,
              "claude-code: error_during_execution: no such session; try again");
}

TEST(Transcripts, OfSeveralAttemptsTellTheLastAndWhatAllTook) {
    const std::string first =
        "event: text\ndata: {\"text\":\"a\"}\n\nevent: done\ndata: {\"output\":\"no\",\"input_tokens\":3,"
        "\"total_cost_usd\":0.5,\"session_id\":\"s\"}\n\n";
    const std::string mark = std::string("\n") + kAttemptMark.data();
    const auto nothing = [](const AgentEvent&) {};
    const auto transcript = custom_harness().transcript();
    transcript->feed(first, nothing);
    EXPECT_FALSE(transcript->ended());
    transcript->feed(mark + "1 0\n", nothing);
    ASSERT_TRUE(transcript->ended());
    EXPECT_EQ(transcript->ended()->number, 1);
    EXPECT_EQ(transcript->result().output, "no");
    transcript->feed("event: done\ndata: {\"input_tokens\":4}\n\n", nothing);
    EXPECT_FALSE(transcript->ended());
    EXPECT_EQ(transcript->result().output, "") << "what the first one wrote is not the second one's";
    EXPECT_EQ(transcript->result().input_tokens, 7);
    EXPECT_EQ(transcript->result().session, "s");
    transcript->feed(mark + "2 0\n" + mark.substr(1) + "3 7\n", nothing);
    EXPECT_EQ(transcript->ended()->exit_code, 7);
    EXPECT_FALSE(transcript->result().finished) << "it did not say a word";
    EXPECT_EQ(transcript->result().input_tokens, 7);
    EXPECT_EQ(transcript->result().cost_usd, 0.5);
}

TEST(Harnesses, AreToldWhatOptionsMean) {
    Prompt prompt;
    prompt.text = "do it";
    prompt.model = "anthropic/claude-x";
    prompt.session = "s1";
    prompt.options = {{"maxTurns", 3}, {"disallowedTools", {"Bash", "Write"}}, {"thinking", {{"type", "disabled"}}}};
    ASSERT_TRUE(claude_code().check(prompt.options).ok());
    const ModelAccess access{"http://10.0.0.1:1/anthropic", "token"};
    const Invocation how = claude_code().invoke({}, prompt, &access);
    const std::string line = testing::PrintToString(how.argv);
    EXPECT_THAT(line, HasSubstr(R"("--model", "claude-x")"));
    EXPECT_THAT(line, HasSubstr(R"("--resume", "s1")"));
    EXPECT_THAT(line, HasSubstr(R"("--max-turns", "3")"));
    EXPECT_THAT(line, HasSubstr(R"("--disallowedTools", "Bash,Write")"));
    EXPECT_THAT(line, testing::Not(HasSubstr("token"))) << "arguments are seen by all that runs in the box";
    EXPECT_EQ(how.input, "do it");
    EXPECT_THAT(how.env, Contains(Pair("ANTHROPIC_BASE_URL", access.base_url)));
    EXPECT_THAT(how.env, Contains(Pair("MAX_THINKING_TOKENS", "0")));
}

AgentRecord with_servers() {
    AgentRecord agent;
    agent.mcp_servers = to_json({{"files", "@org/server", {"${HOME}", "a\"b"}, "", {}},
                                 {"there", "", {}, "https://x/mcp", {{"Authorization", "secret"}}}})
                            .dump();
    return agent;
}

TEST(McpServers, AreReadAsTheyWereWritten) {
    const auto servers = mcp_servers_of(with_servers());
    ASSERT_EQ(servers.size(), 2U);
    EXPECT_THAT(mcp_command(servers[0]), ElementsAre("npx", "-y", "@org/server", "${HOME}", "a\"b"));
    EXPECT_EQ(servers[1].url, "https://x/mcp");
    EXPECT_THAT(servers[1].headers, ElementsAre(Pair("Authorization", "secret")));
    EXPECT_TRUE(mcp_servers_of({}).empty());
}

TEST(McpServers, AreToldEachProgramInItsWay) {
    Prompt prompt;
    prompt.model = "openai/x";
    const Invocation claude = claude_code().invoke(with_servers(), prompt, nullptr);
    const auto flag = std::find(claude.argv.begin(), claude.argv.end(), "--mcp-config");
    ASSERT_NE(flag, claude.argv.end());
    const Json told = Json::parse(flag[1])["mcpServers"];
    EXPECT_EQ(told["files"].dump(), R"({"args":["-y","@org/server","${HUTCH_MCP_3}","a\"b"],"command":"npx"})");
    EXPECT_EQ(told["there"].dump(),
              R"({"headers":{"Authorization":"${HUTCH_MCP_4}"},"type":"http","url":"https://x/mcp"})");
    EXPECT_THAT(claude.env, Contains(Pair("HUTCH_MCP_3", "${HOME}")));
    EXPECT_THAT(claude.env, Contains(Pair("HUTCH_MCP_4", "secret")));
    const Invocation codex_told = codex().invoke(with_servers(), prompt, nullptr);
    const std::string begin = R"({"required" = true, "startup_timeout_sec" = 60, )";
    EXPECT_THAT(codex_told.argv, Contains("mcp_servers.files=" + begin +
                                          R"("command" = "npx", "args" = ["-y","@org/server","${HOME}","a\"b"]})"));
    EXPECT_THAT(codex_told.argv,
                Contains("mcp_servers.there=" + begin +
                         R"("url" = "https://x/mcp", "env_http_headers" = {"Authorization" = "HUTCH_MCP_0"}})"));
    EXPECT_THAT(codex_told.env, ElementsAre(Pair("HUTCH_MCP_0", "secret")));
    const Invocation opencode_told = opencode().invoke(with_servers(), prompt, nullptr);
    const Json config = Json::parse(opencode_told.env[0].second)["mcp"];
    EXPECT_EQ(config["files"]["command"].dump(), R"(["npx","-y","@org/server","${HOME}","a\"b"])");
    EXPECT_EQ(config["there"]["headers"].dump(), R"({"Authorization":"secret"})");
}

TEST(Harnesses, PassOverWhatHasNoBound) {
    const auto nested = [](const std::string& begin, const std::string& end) {
        std::string text;
        for (int i = 0; i < 200'000; ++i) text += begin;
        text += "1";
        for (int i = 0; i < 200'000; ++i) text += end;
        return text;
    };
    const std::string deep = nested("[", "]");
    const std::string begin = R"({"type":"assistant","message":{"content":[{"type":"tool_use","input":{"a":)";
    const std::string lines[] = {begin + deep + "}}]}}",
                                 R"({"type":"item.started","item":{"type":"mcp_tool_call","arguments":)" + deep + "}}",
                                 R"({"type":"tool_use","part":{"state":{"input":{"a":)" + deep + "}}}}",
                                 "event: x\ndata: " + nested("{\"a\":", "}"),
                                 nested("{\"type\":", "}"),
                                 deep};
    for (const Harness* harness : {&claude_code(), &codex(), &opencode(), &custom_harness()}) {
        for (const std::string& line : lines) {
            const Told told = read_in_pieces(*harness, line + "\n", 100'000);
            EXPECT_THAT(told.events, ElementsAre());
            EXPECT_FALSE(told.result.finished);
        }
    }
}

TEST(Harnesses, CountNoMoreThanThereIs) {
    std::string stream;
    for (int i = 0; i < 3000; ++i) {
        stream += R"({"type":"step_finish","part":{"cost":1e300,"tokens":{"input":1e300,"output":-1e300,)"
                  R"("cache":{"read":18446744073709551615}}}})";
        stream += '\n';
    }
    const Told told = read_in_pieces(opencode(), stream, 4096);
    EXPECT_EQ(told.result.input_tokens, INT64_MAX);
    EXPECT_EQ(told.result.output_tokens, 0);
    AgentRecord agent{.owner = "b", .harness = "opencode", .model = "m", .command = ""};
    agent.session_total.input_tokens = INT64_MIN;
    for (int i = 0; i < 3; ++i) {
        PromptRecord prompt{.run = "r", .box = "b", .harness = "opencode", .model = "m"};
        charge(told.result, agent, prompt);
        EXPECT_EQ(prompt.input_tokens, INT64_MAX);
        EXPECT_EQ(prompt.cost_nano_usd, 9'000'000'000'000'000'000);
    }
    EXPECT_EQ(agent.input_tokens, INT64_MAX);
    EXPECT_EQ(agent.cost_nano_usd, INT64_MAX);
}

TEST(Harnesses, TellOfEventsByNamesAlone) {
    const auto told = [](const std::string& name) {
        return read_in_pieces(custom_harness(), "event: " + name + "\ndata: {}\n\n", 1000).events;
    };
    EXPECT_THAT(told("my_tool-1.x:y"), ElementsAre("my_tool-1.x:y {}"));
    for (const std::string& name : {std::string("a\rdata: {}"), std::string("a b"), std::string(65, 'a'),
                                    std::string("\xc3\xa4"), std::string()}) {
        EXPECT_THAT(told(name), ElementsAre()) << name;
    }
}

TEST(McpServers, AreReadOfAnyRecord) {
    AgentRecord agent{.owner = "b", .harness = "codex", .model = "m", .command = ""};
    for (const std::string& rubbish :
         {std::string(1'000'000, '['), std::string("7"), std::string(R"([1,"x",null,[],{"args":7,"headers":[]}])"),
          std::string(R"([{"name":1,"args":[1,{}],"headers":{"a":2}}])"), std::string("\xff")}) {
        agent.mcp_servers = rubbish;
        for (const McpServer& server : mcp_servers_of(agent)) {
            EXPECT_TRUE(server.args.empty() && server.headers.empty() && server.name.empty());
        }
    }
}

TEST(Harnesses, RefuseOptionsByName) {
    const auto refused = [](const Harness& harness, const char* options) {
        return harness.check(Json::parse(options)).error().message;
    };
    EXPECT_EQ(refused(claude_code(), R"({"speed":1})"), "agent_options.speed: claude-code has no such option");
    EXPECT_EQ(refused(claude_code(), R"({"maxTurns":"3"})"), "agent_options.maxTurns: must be a whole number");
    EXPECT_EQ(refused(codex(), R"({"personality":"rude"})"),
              "agent_options.personality: must be one of friendly, pragmatic, none");
    EXPECT_EQ(find_harness("cursor").error().kind, ErrorKind::kUnsupported);
    EXPECT_EQ(find_harness("copilot").error().kind, ErrorKind::kInvalid);
}

}  // namespace
}  // namespace hutch::daemon
