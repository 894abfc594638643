"""The networks: encoder, depth decoder, pose networks, and the model that puts them together."""
