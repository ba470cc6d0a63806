"""The only room that imports cryptography libraries. Verify or raise; facts about keys and chains."""
