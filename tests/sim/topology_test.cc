#include "sim/topology.h"

#include <gtest/gtest.h>

namespace postern::sim {
namespace {

// Two hosts on a link; %s is what a test adds.
std::string two_hosts_and(const std::string& more) {
  return "[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n"
         "[[host]]\nname = \"b\"\naddress = \"10.9.0.2/24\"\n" +
         more;
}

std::string error_of(const std::string& text) {
  const Result<Topology> topology = parse_topology(text, "net.toml");
  return topology.ok() ? "(no error)" : topology.error().message;
}

TEST(TopologyTest, DefaultHasTwoHostsAndATenGigabitLink) {
  const Topology topology = default_topology();
  ASSERT_EQ(topology.hosts.size(), 2u);
  EXPECT_EQ(topology.hosts[0].name, "a");
  EXPECT_EQ(format_ipv4(topology.hosts[0].address_ipv4), "10.9.0.1");
  EXPECT_EQ(format_ipv4(topology.hosts[1].address_ipv4), "10.9.0.2");
  EXPECT_EQ(topology.hosts[1].prefix_bits, 24u);
  EXPECT_NE(topology.hosts[0].mac, topology.hosts[1].mac);
  ASSERT_EQ(topology.links.size(), 1u);
  EXPECT_EQ(topology.links[0].rate_gbps, 10);
}

TEST(TopologyTest, ReadsEveryKey) {
  const Result<Topology> result = parse_topology(two_hosts_and(R"(
gateway = "10.9.0.254"
mac = "02:00:00:00:00:42"
pcap = true
[host.nic]
"event_queue.holdoff_ns" = 100
pcie_link.lanes = 8
[[switch]]
name = "s"
queue_kib = 64
ageing_s = 2.5
latency_ns = 300
[[tap]]
name = "t"
interface = "kern0"
netns = "kernel"
address = "10.9.0.3/24"
[[link]]
ends = ["a", "s"]
rate_gbps = 25
delay_ns = 100
loss = 0.05
seed = 9
[link.backward]
loss = 0.5
[[link]]
ends = ["b", "s"]
[[link]]
ends = ["s", "t"]
)"),
                                                 "net.toml");
  ASSERT_TRUE(result.ok()) << result.error().message;
  const Topology& topology = result.value();
  const HostSpec& b = topology.hosts[1];
  EXPECT_EQ(format_mac(b.mac), "02:00:00:00:00:42");
  EXPECT_EQ(format_ipv4(b.gateway_ipv4), "10.9.0.254");
  EXPECT_TRUE(b.pcap);
  EXPECT_EQ(b.nic_properties.at("event_queue.holdoff_ns").value, 100);
  EXPECT_EQ(b.nic_properties.at("pcie_link.lanes").value, 8);
  EXPECT_EQ(b.nic_properties.at("event_queue.holdoff_ns").where, "net.toml:12");
  EXPECT_EQ(topology.switches[0].queue_bytes, 64u * 1024);
  EXPECT_EQ(topology.taps[0].netns, "kernel");
  EXPECT_EQ(topology.links[0].impairments[0].loss, 0.05);
  EXPECT_EQ(topology.links[0].impairments[1].loss, 0.5);
  EXPECT_EQ(topology.link_of("t")->ends[0], "s");
  EXPECT_EQ(topology.link_of("a")->rate_gbps, 25);
}

TEST(TopologyTest, UnknownKeyNamesLineKeyAndTheKnownOnes) {
  EXPECT_EQ(
      error_of(two_hosts_and("[[link]]\nends = [\"a\", \"b\"]\nspeed = 10\n")),
      "net.toml:9: link.speed: unknown key; expected one of backward, corrupt, delay_ns, duplicate, ends, forward, "
      "loss, rate_gbps, reorder, reorder_delay_ns, seed");
}

TEST(TopologyTest, WrongTypeNamesLineKeyAndWhatWasExpected) {
  EXPECT_EQ(error_of(two_hosts_and("[[link]]\nends = [\"a\", \"b\"]\nloss = \"much\"\n")),
            "net.toml:9: link.loss: expected a number from 0 to 1, found the string \"much\"");
}

TEST(TopologyTest, OutOfRangeProbabilityIsAnError) {
  EXPECT_EQ(error_of(two_hosts_and("[[link]]\nends = [\"a\", \"b\"]\nreorder = 1.5\n")),
            "net.toml:9: link.reorder: expected a number from 0 to 1, found 1.5");
}

TEST(TopologyTest, SyntaxErrorNamesTheLine) {
  EXPECT_EQ(error_of("[[host]]\nname = \n").rfind("net.toml:2: not valid TOML", 0), 0u);
}

TEST(TopologyTest, MissingAddressNamesTheHostTable) {
  EXPECT_EQ(error_of("[[host]]\nname = \"a\"\n"),
            "net.toml:1: host.address: expected a string, but the key is missing; add it");
}

TEST(TopologyTest, BadAddressShowsTheForm) {
  EXPECT_EQ(error_of("[[host]]\nname = \"a\"\naddress = \"10.9.0.1\"\n"),
            "net.toml:3: host.address: expected an IPv4 address and prefix like 10.9.0.1/24, found \"10.9.0.1\"");
}

TEST(TopologyTest, LinkToNobodyIsAnError) {
  EXPECT_EQ(error_of(two_hosts_and("[[link]]\nends = [\"a\", \"c\"]\n")),
            "net.toml:8: link.ends: expected the name of a host, switch or tap, but there is no \"c\"");
}

TEST(TopologyTest, HostWithoutLinkIsAnError) {
  EXPECT_EQ(error_of("[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n").find("\"a\" has none; add a [[link]]") !=
                std::string::npos,
            true);
}

TEST(TopologyTest, SecondLinkOfAHostIsAnError) {
  EXPECT_EQ(error_of(two_hosts_and("[[link]]\nends = [\"a\", \"b\"]\n[[link]]\nends = [\"a\", \"b\"]\n")),
            "net.toml:10: link.ends: expected one link per host and tap, but \"a\" has one already; use a switch");
}

TEST(TopologyTest, DuplicateNameAndAddressAreErrors) {
  EXPECT_EQ(
      error_of(
          "[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n[[host]]\nname = \"a\"\naddress = \"10.9.0.2/24\"\n"),
      "net.toml:5: host.name: expected a name of its own, but \"a\" is taken");
  EXPECT_EQ(
      error_of(
          "[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n[[host]]\nname = \"b\"\naddress = \"10.9.0.1/24\"\n"),
      "net.toml:6: host.address: expected an address of its own, but 10.9.0.1 is taken");
}

TEST(TopologyTest, UnsupportedRateIsAnError) {
  EXPECT_EQ(error_of(two_hosts_and("[[link]]\nends = [\"a\", \"b\"]\nrate_gbps = 7\n")),
            "net.toml:9: link.rate_gbps: expected 1, 10, 25 or 100, found 7");
}

TEST(TopologyTest, MissingFileSaysSo) {
  const Result<Topology> topology = load_topology("/nonexistent/net.toml");
  ASSERT_FALSE(topology.ok());
  EXPECT_EQ(topology.error().message,
            "cannot read /nonexistent/net.toml: No such file or directory; give the path of a readable TOML file");
}

TEST(TopologyTest, PropertySettingAppliesToAllHostsOrOne) {
  Topology topology = default_topology();
  ASSERT_TRUE(apply_property_setting(topology, "x.y=3").ok());
  ASSERT_TRUE(apply_property_setting(topology, "b:x.z=4").ok());
  EXPECT_EQ(topology.hosts[0].nic_properties.count("x.z"), 0u);
  EXPECT_EQ(topology.hosts[1].nic_properties.at("x.z").value, 4);
  EXPECT_EQ(topology.hosts[0].nic_properties.at("x.y").value, 3);
  EXPECT_FALSE(apply_property_setting(topology, "nothing").ok());
  EXPECT_FALSE(apply_property_setting(topology, "c:x=1").ok());
  ASSERT_TRUE(apply_property_setting(topology, "nic1.x.u=5").ok());
  EXPECT_EQ(topology.hosts[0].nic_properties.count("x.u"), 0u);
  EXPECT_EQ(topology.hosts[1].nic_properties.at("x.u").value, 5);
  ASSERT_TRUE(apply_property_setting(topology, "nic.x=6").ok());  // no position: a property of that name
  EXPECT_EQ(topology.hosts[0].nic_properties.at("nic.x").value, 6);
  ASSERT_TRUE(apply_property_setting(topology, "x.mode=fast").ok());
  EXPECT_EQ(topology.hosts[0].nic_properties.at("x.mode").word, "fast");
  for (const char* bad : {"x=", "=1", "nic1.=1", "a:=1", "x=1 2", "x=1;2"}) {
    EXPECT_NE(apply_property_setting(topology, bad).error().message.find("expected PROPERTY=VALUE"), std::string::npos)
        << bad;
  }
  EXPECT_EQ(apply_property_setting(topology, "nic2.x=1").error().message,
            "--set nic2.x=1: there is no nic2 in (built in); expected nic0 to nic1");
}

TEST(TopologyTest, NicPropertiesAreNumbersFlagsOrNames) {
  const std::string head = "[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n[host.nic]\n";
  const std::string tail = "[[host]]\nname = \"b\"\naddress = \"10.9.0.2/24\"\n[[link]]\nends = [\"a\", \"b\"]\n";
  const Result<Topology> good = parse_topology(head + "x.on = true\nx.mode = \"fast\"\nx.share = 0.5\n" + tail, "n");
  ASSERT_TRUE(good.ok()) << good.error().message;
  const auto& properties = good.value().hosts[0].nic_properties;
  EXPECT_EQ(properties.at("x.on").word, "true");
  EXPECT_EQ(properties.at("x.mode").word, "fast");
  EXPECT_EQ(properties.at("x.share").value, 0.5);
  EXPECT_EQ(properties.at("x.share").word, "");
  const Result<Topology> bad = parse_topology(head + "x.list = [1]\n" + tail, "n");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message, "n:5: host.nic.x.list: expected a number, true, false or the name of a value");
}

}  // namespace
}  // namespace postern::sim
