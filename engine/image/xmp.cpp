#include "engine/image/codec.h"

namespace impasto::codec {
namespace {

/// XML 1.0 text: markup escaped, forbidden control characters dropped.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '\t':
      case '\n':
      case '\r': result += c; break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20) result += c;
    }
  }
  return result;
}

/// A valid XML name in our namespace.
std::string property_name(const std::string& key) {
  std::string name = "impasto:";
  const std::size_t prefix = name.size();
  for (const char c : key) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool inner = (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (inner && name.size() == prefix) name += '_';
    name += letter || inner ? c : '_';
  }
  if (name.size() == prefix) name += '_';
  return name;
}

}  // namespace

std::string xmp_packet(const std::map<std::string, std::string>& metadata) {
  std::map<std::string, std::string> properties;  // a name may occur once only
  for (const auto& [key, value] : metadata) {
    if (key == "Software") {
      properties["xmp:CreatorTool"] = escaped(value);
    } else if (key == "Description") {
      properties["dc:description"] =
          "<rdf:Alt><rdf:li xml:lang=\"x-default\">" + escaped(value) + "</rdf:li></rdf:Alt>";
    } else {
      properties[property_name(key)] = escaped(value);
    }
  }
  std::string packet =
      "<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
      "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
      "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
      "<rdf:Description rdf:about=\"\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" "
      "xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:impasto=\"urn:impasto:metadata\">\n";
  for (const auto& [name, value] : properties) packet += "<" + name + ">" + value + "</" + name + ">\n";
  return packet + "</rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"w\"?>";
}

}  // namespace impasto::codec
