//! MCP for agents, people and tools (design §9).
